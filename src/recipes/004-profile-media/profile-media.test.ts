/** The document of recipe 004, section by section, against a real bucket and catalogue. README.md has the table. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { gif } from '../../../test/support/http.ts'
import { pictureBytes } from '../../../test/support/picture.ts'
import { type EmbeddedS3, startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { createKeepsake, type Keepsake } from '../../index.ts'
import { createS3Store } from '../../stores/index.ts'
import { type ImageStorage, imageStorage, profileMedia } from './index.ts'

const png = pictureBytes({ id: 'another picture', size: 3000 })
const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
const bucket = 'videovote-uploads'

let dir: string
let s3: EmbeddedS3
let keepsake: Keepsake
let storage: ImageStorage
let user = 0

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-profile-media-'))
  s3 = await startEmbeddedS3({ dir: join(dir, 's3'), credentials, buckets: [bucket], fsync: false })
  keepsake = await createKeepsake(
    { dataDir: join(dir, 'data'), s3: { endpoint: s3.url }, extensions: [profileMedia({ public: ['avatars'] })] },
    // The document's own variables.
    {
      env: {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_BUCKET_NAME: bucket,
        AWS_REGION: 'us-east-1',
        USE_CLOUD_STORAGE: 'true',
      },
    },
  )
  storage = imageStorage(keepsake)
})
afterAll(async () => {
  await keepsake?.close()
  await s3?.close()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(() => {
  user += 1
})

async function keysUnder(prefix: string): Promise<string[]> {
  const store = createS3Store({ bucket, region: 'us-east-1', endpoint: s3.url, credentials })
  const keys: string[] = []
  for await (const { key } of store.list({ prefix })) keys.push(key)
  await store.close()
  return keys
}

async function bytesAt(url: string | null): Promise<Buffer> {
  const response = await fetch(url ?? 'about:blank')
  expect(response.status).toBe(200)
  return Buffer.from(await response.arrayBuffer())
}

async function keep(
  file: Parameters<ImageStorage['uploadImage']>[0],
  folder = 'avatars',
  prefix = 'avatar',
  id = user,
) {
  const result = await storage.uploadImage(file, folder, prefix, id)
  if (!result.success) throw new Error(result.error)
  return result
}

describe('Upload User Avatar', () => {
  test('a file of a form is kept: success, url and filename', async () => {
    const form = new FormData()
    form.set('avatar', new File([Uint8Array.from(gif)], 'holiday.jpg', { type: 'image/jpeg' }))
    const file = form.get('avatar')
    if (!(file instanceof File)) throw new Error('no file')
    const result = await storage.uploadImage(file, 'avatars', 'avatar', user)
    // The type is what the bytes say, not what a name or a header says.
    expect(result).toEqual({ success: true, url: expect.any(String), filename: `user_${user}_avatar.gif` })
    expect(await bytesAt(result.success ? result.url : null)).toEqual(gif)
  })

  test('what fails is told: success false and error', async () => {
    const failed = async (...given: Parameters<ImageStorage['uploadImage']>) => {
      const result = await storage.uploadImage(...given)
      return result.success ? 'kept' : result.error
    }
    expect(await failed(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'avatars', 'avatar', user)).toMatch(
      /accepts: image/,
    )
    expect(await failed(new Uint8Array(), 'avatars', 'avatar', user)).toMatch(/no bytes/)
    expect(await failed(gif, 'passports', 'avatar', user)).toMatch(/avatars, thumbnails, uploads/)
    expect(await failed(gif, 'avatars', '../x', user)).toMatch(/prefix/)
    expect(await failed(gif, 'avatars', 'avatar', '1/../2')).toMatch(/id has/)
    expect(await failed(gif, 'avatars', 'avatar', 'default')).toMatch(/id has/)
    expect(await failed(Buffer.alloc(11_000_000, gif), 'avatars', 'avatar', user)).toMatch(/10000000|10 MB|large/)
  })

  test('a new avatar takes the place of the old one: one image, a key of its own, and every name leads to it', async () => {
    const first = await keep(gif)
    const [firstKey] = await keysUnder(`avatars/user_${user}_`)
    expect(firstKey).toMatch(new RegExp(`^avatars/user_${user}_avatar_[0-9a-f-]+\\.gif$`))
    const second = await keep(png)
    expect([first.filename, second.filename]).toEqual([`user_${user}_avatar.gif`, `user_${user}_avatar.png`])
    for (const name of [first.filename, second.filename, `user_${user}_avatar.jpg`]) {
      expect(await bytesAt(await storage.getImageUrl(name, 'avatars'))).toEqual(png)
    }
    await expect.poll(() => keysUnder(`avatars/user_${user}_`)).toEqual([expect.stringMatching(/\.png$/)])
    expect(await keysUnder(`avatars/user_${user}_`)).not.toContain(firstKey)
    expect((await fetch(first.url)).status).toBe(404)
  })

  test('a failed one leaves the old one', async () => {
    const { filename } = await keep(gif)
    expect(await storage.uploadImage(Buffer.from('no image'), 'avatars', 'avatar', user)).toMatchObject({
      success: false,
    })
    expect(await bytesAt(await storage.getImageUrl(filename, 'avatars'))).toEqual(gif)
  })

  test('users of any name, and several images of one user, do not meet', async () => {
    const names = [`auth0|${user}`, `a_b_${user}`, `a_b_${user}_avatar`, `ü ${user}@example.com`]
    for (const name of names) {
      expect(
        await storage.uploadImage(Buffer.concat([gif, Buffer.from(name)]), 'avatars', 'avatar', name),
      ).toMatchObject({ success: true, filename: `user_${name}_avatar.gif` })
    }
    await storage.uploadImage(png, 'avatars', 'cover', names[0] ?? '')
    for (const name of names) {
      const found = await bytesAt(await storage.getImageUrl(`user_${name}_avatar.gif`, 'avatars'))
      expect(found).toEqual(Buffer.concat([gif, Buffer.from(name)]))
    }
  })
})

describe('Get Image URL in Templates', () => {
  test('no name and no image give no link', async () => {
    expect(await storage.getImageUrl(null, 'avatars')).toBeNull()
    expect(await storage.getImageUrl('', 'avatars')).toBeNull()
    expect(await storage.getImageUrl('user_nobody_avatar.jpg', 'avatars')).toBeNull()
    expect(await storage.getImageUrl('user_nobody_avatar.jpg', 'no-folder')).toBeNull()
  })

  test('a template writes an address that stays, without waiting or signing', async () => {
    expect(storage.imageUrl('user_1_avatar.jpg', 'avatars')).toBe('/media/avatars/user_1_avatar.jpg')
    const mounted = imageStorage(keepsake, { baseUrl: 'https://api.example' })
    expect(mounted.imageUrl('user_a b|c_avatar.jpg', 'avatars')).toBe(
      'https://api.example/media/avatars/user_a%20b%7Cc_avatar.jpg',
    )
  })
})

describe('Direct S3 Operations', () => {
  test('a file of this machine: upload, link, delete', async () => {
    const path = join(dir, 'file.jpg')
    await writeFile(path, gif)
    const key = `images/photo-${user}.jpg`
    const result = await storage.uploadFile(path, key, { contentType: 'image/jpeg' })
    expect(result).toEqual({ success: true, url: expect.any(String), key })
    expect(await bytesAt(await storage.getFileUrl(key))).toEqual(gif)
    expect(await keysUnder('images/')).toEqual([
      expect.stringMatching(new RegExp(`^images/[0-9a-f-]+_photo-${user}.jpg`)),
    ])
    expect(await storage.deleteFile(key)).toBe(true)
    expect(await storage.getFileUrl(key)).toBeNull()
    expect(await storage.deleteFile(key)).toBe(false)
    expect(await keysUnder('images/')).toEqual([])
  })

  test('the content type is found out', async () => {
    const key = `music/${user}.bin`
    await storage.uploadFile(png, key)
    const response = await fetch((await storage.getFileUrl(key)) ?? '')
    expect(response.headers.get('content-type')).toBe('image/png')
  })

  test('keys that differ keep apart, and one key has one file', async () => {
    await storage.uploadFile(gif, `photo-${user}.jpg`)
    await storage.uploadFile(png, `a/photo-${user}.jpg`)
    await storage.uploadFile(png, `files/photo-${user}.jpg`)
    expect(await bytesAt(await storage.getFileUrl(`photo-${user}.jpg`))).toEqual(gif)
    await storage.uploadFile(png, `photo-${user}.jpg`)
    expect(await bytesAt(await storage.getFileUrl(`photo-${user}.jpg`))).toEqual(png)
    expect(await storage.deleteFile(`photo-${user}.jpg`)).toBe(true)
    expect(await bytesAt(await storage.getFileUrl(`files/photo-${user}.jpg`))).toEqual(png)
  })

  test('the key of an avatar is the avatar', async () => {
    await storage.uploadFile(gif, `avatars/user_${user}_avatar.jpg`)
    expect(await bytesAt(await storage.getImageUrl(`user_${user}_avatar.gif`, 'avatars'))).toEqual(gif)
    expect(await storage.deleteFile(`avatars/user_${user}_avatar.jpg`)).toBe(true)
    expect(await storage.getImageUrl(`user_${user}_avatar.gif`, 'avatars')).toBeNull()
  })

  test('what is no key and no file is told', async () => {
    expect(await storage.uploadFile(join(dir, 'not-there.jpg'), 'images/x.jpg')).toEqual({
      success: false,
      error: expect.stringContaining('not-there.jpg'),
    })
    for (const key of ['../secret', 'a//b', '', 'a/./b']) {
      expect(await storage.uploadFile(gif, key)).toMatchObject({ success: false })
      expect(await storage.getFileUrl(key)).toBeNull()
      expect(await storage.deleteFile(key)).toBe(false)
    }
  })
})

describe('Folder Structure in S3', () => {
  test('avatars, thumbnails and uploads', async () => {
    const thumb = await keep(png, 'thumbnails', 'thumb')
    const clip = await keep(gif, 'uploads', 'clip')
    expect([thumb.filename, clip.filename]).toEqual([`video_${user}_thumb.png`, `user_${user}_clip.gif`])
    expect(await bytesAt(await storage.getImageUrl(thumb.filename, 'thumbnails'))).toEqual(png)
    expect(await keysUnder(`thumbnails/video_${user}_thumb_`)).toHaveLength(1)
    expect(await keysUnder(`uploads/user_${user}_clip_`)).toHaveLength(1)
  })
})

describe('Migration from Local Storage', () => {
  test('the loop of the document, which leaves alone what a user has changed since', async () => {
    const folder = join(dir, `static-${user}`, 'avatars')
    await mkdir(join(folder, 'old'), { recursive: true })
    await writeFile(join(folder, `user_${user}1_avatar.jpg`), gif)
    await writeFile(join(folder, `user_${user}2_avatar.png`), png)
    await writeFile(join(folder, 'default.png'), png)
    await writeFile(join(folder, 'notes.txt'), 'not an image')
    await writeFile(join(folder, '.DS_Store'), 'nothing')
    await storage.uploadImage(png, 'avatars', 'avatar', `${user}1`)
    expect(await storage.migrateLocalToS3(folder, 'avatars')).toEqual([
      { filename: 'default.png', success: true, skipped: false },
      { filename: 'notes.txt', success: false, error: expect.stringContaining('text/plain') },
      { filename: `user_${user}1_avatar.jpg`, success: true, skipped: true },
      { filename: `user_${user}2_avatar.png`, success: true, skipped: false },
    ])
    expect(await bytesAt(await storage.getImageUrl(`user_${user}1_avatar.jpg`, 'avatars'))).toEqual(png)
    expect(await bytesAt(await storage.getImageUrl(`user_${user}2_avatar.jpg`, 'avatars'))).toEqual(png)
    expect(await bytesAt(await storage.getImageUrl('default.png', 'avatars'))).toEqual(png)
  })

  test('keepsake migrate, for folders of any size, before the app writes', async () => {
    const folder = join(dir, `moved-${user}`)
    await mkdir(folder)
    await writeFile(join(folder, `user_${user}3_avatar.jpg`), gif)
    const { counts } = await keepsake.moving.migrate(folder, {
      collection: 'avatars',
      match: 'user_{owner}_{role}.{ext}',
    })
    expect(counts.done.files).toBe(1)
    expect(await bytesAt(await storage.getImageUrl(`user_${user}3_avatar.jpg`, 'avatars'))).toEqual(gif)
    await storage.uploadImage(png, 'avatars', 'avatar', `${user}3`)
    expect(await bytesAt(await storage.getImageUrl(`user_${user}3_avatar.jpg`, 'avatars'))).toEqual(png)
    await expect.poll(() => keysUnder(`avatars/user_${user}3_`)).toHaveLength(1)
  })
})

describe('the routes', () => {
  const call = async (path: string, init: RequestInit & { user?: string } = {}) => {
    const { user: asked, ...rest } = init
    const handle = keepsake.handler({
      authorize: () => (asked === undefined ? null : asked === 'service' ? { service: true } : { owner: asked }),
    })
    return handle(new Request(`http://app.example${path}`, rest))
  }
  const form = (file: Uint8Array, fields: Record<string, string> = {}) => {
    const body = new FormData()
    for (const [name, value] of Object.entries(fields)) body.set(name, value)
    body.set('file', new File([Uint8Array.from(file)], 'me.png'))
    return body
  }

  test('the image of a public folder opens for everybody, and a page shows what stands there now', async () => {
    const { filename } = await keep(gif)
    const address = storage.imageUrl(filename, 'avatars')
    for (const image of [gif, png]) {
      await keep(image)
      const response = await call(address)
      expect([response.status, response.headers.get('cache-control')]).toEqual([302, 'no-cache'])
      expect(await bytesAt(response.headers.get('location'))).toEqual(image)
    }
    expect((await call('/media/avatars/user_nobody_avatar.jpg')).status).toBe(404)
    const { entries } = await keepsake.audit({ owner: `${user}` })
    // Beside them stands what becomes of the replaced images, whenever that comes.
    const issued = entries.find(({ action, requestId }) => action === 'url.issued' && requestId !== null)
    expect(issued).toMatchObject({ requestId: expect.any(String) })
  })

  test('no other folder, file or verb is open', async () => {
    const thumb = await keep(png, 'thumbnails', 'thumb')
    await storage.uploadFile(png, 'avatars/passport.png')
    const { filename } = await keep(gif)
    const refused = [
      ['GET', `/media/thumbnails/${thumb.filename}`],
      ['GET', '/media/avatars/passport.png'],
      ['GET', `/media/avatars%2F${filename}`],
      ['GET', `/media/avatars/${filename}/x`],
      ['DELETE', `/media/avatars/${filename}`],
      ['POST', '/media/avatars'],
    ]
    for (const [method = '', path = ''] of refused) {
      expect([method, path, (await call(path, { method })).status]).toEqual([method, path, 401])
    }
  })

  test('a user keeps, opens and deletes its own, and nothing of others', async () => {
    const [me, other] = [`${user}`, `${user}x`]
    const sent = await call('/media/uploads', { method: 'POST', body: form(gif), user: me })
    expect(sent.status).toBe(201)
    expect(await sent.json()).toEqual({ success: true, url: expect.any(String), filename: `user_${me}_upload.gif` })
    const path = `/media/uploads/user_${me}_upload.gif`
    expect((await call(path, { user: me })).status).toBe(302)
    expect((await call(path, { user: other })).status).toBe(404)
    expect((await call(path, { method: 'DELETE', user: other })).status).toBe(404)
    const foreign = form(gif, { userId: me })
    expect((await call('/media/uploads', { method: 'POST', body: foreign, user: other })).status).toBe(403)
    expect((await call('/media/thumbnails', { method: 'POST', body: form(gif), user: me })).status).toBe(403)
    expect((await call(path, { method: 'DELETE', user: me })).status).toBe(204)
    expect((await call(path, { user: me })).status).toBe(404)
  })

  test('an API key says whose it is', async () => {
    const body = form(gif, { userId: `${user}`, prefix: 'cover' })
    const sent = await call('/media/avatars', { method: 'POST', body, user: 'service' })
    expect(await sent.json()).toMatchObject({ filename: `user_${user}_cover.gif` })
    const nobody = await call('/media/avatars', { method: 'POST', body: form(gif), user: 'service' })
    expect(nobody.status).toBe(400)
    const odd = form(gif, { userId: '1', color: 'red' })
    expect((await call('/media/avatars', { method: 'POST', body: odd, user: 'service' })).status).toBe(400)
    expect((await call('/media/passports', { method: 'POST', body: form(gif), user: 'service' })).status).toBe(400)
    const json = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' }, user: 'service' }
    expect((await call('/media/avatars', json)).status).toBe(415)
  })
})

describe('Testing', () => {
  test('isAvailable says whether the bucket answers; without a fall-back what fails is told, and passes', async () => {
    expect(await storage.isAvailable()).toBe(true)
    const { port } = s3
    await s3.close()
    expect(await storage.isAvailable()).toBe(false)
    expect(await storage.uploadImage(gif, 'avatars', 'avatar', user)).toMatchObject({ success: false })
    s3 = await startEmbeddedS3({ dir: join(dir, 's3'), credentials, buckets: [bucket], fsync: false, port })
    await expect.poll(() => storage.isAvailable(), { timeout: 20_000 }).toBe(true)
    expect(await storage.uploadImage(gif, 'avatars', 'avatar', user)).toMatchObject({ success: true })
  })
})
