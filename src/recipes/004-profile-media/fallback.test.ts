/** "Fallback Behavior" of the document: to local storage while the bucket fails, and back. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { gif } from '../../../test/support/http.ts'
import { pictureBytes } from '../../../test/support/picture.ts'
import { type EmbeddedS3, startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { createKeepsake, type Keepsake } from '../../index.ts'
import { type ImageStorage, imageStorage, profileMedia } from './index.ts'

const png = pictureBytes({ id: 'another picture', size: 3000 })
const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
const bucket = 'videovote-uploads'

let dir: string
let s3: EmbeddedS3
let keepsake: Keepsake
let storage: ImageStorage

const startS3 = (port = 0) =>
  startEmbeddedS3({ dir: join(dir, 's3'), credentials, buckets: [bucket], fsync: false, port })

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-profile-fallback-'))
  s3 = await startS3()
  const env = {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_BUCKET_NAME: bucket,
    KEEPSAKE_FALLBACK: 'true',
  }
  const config = { dataDir: join(dir, 'data'), s3: { endpoint: s3.url }, extensions: [profileMedia()] }
  keepsake = await createKeepsake(config, { env })
  storage = imageStorage(keepsake)
})
afterAll(async () => {
  await keepsake?.close()
  await s3?.close()
  await rm(dir, { recursive: true, force: true })
})

async function shown(filename: string): Promise<{ bytes: Buffer; port: number }> {
  const url = new URL((await storage.getImageUrl(filename, 'avatars')) ?? 'about:blank')
  return { bytes: Buffer.from(await (await fetch(url)).arrayBuffer()), port: Number(url.port) }
}

const upload = (image: Uint8Array, user: number) => storage.uploadImage(image, 'avatars', 'avatar', user)

test('an upload goes to local storage while S3 fails, a template shows it from either, and all goes back', async () => {
  const { port } = s3
  expect(await storage.isAvailable()).toBe(true)
  expect(await upload(gif, 1)).toMatchObject({ success: true })
  expect(await shown('user_1_avatar.gif')).toEqual({ bytes: gif, port })

  await s3.close()
  // One that is new, and one in the place of an image that lies in the bucket.
  for (const user of [1, 2]) expect(await upload(png, user)).toMatchObject({ success: true })
  expect(await storage.isAvailable()).toBe(false)
  for (const user of [1, 2]) {
    const { bytes, port: from } = await shown(`user_${user}_avatar.png`)
    expect(bytes).toEqual(png)
    expect(from).not.toBe(port)
  }
  // One that fell back is replaced, and deleted, as any other.
  expect(await upload(gif, 2)).toMatchObject({ success: true })
  expect((await shown('user_2_avatar.gif')).bytes).toEqual(gif)
  expect(await upload(gif, 3)).toMatchObject({ success: true })
  expect(await storage.deleteFile('avatars/user_3_avatar.gif')).toBe(true)

  s3 = await startS3(port)
  await expect.poll(() => storage.isAvailable(), { timeout: 60_000 }).toBe(true)
  const inBucket = async (name: string) => {
    await keepsake.promote().catch(() => undefined)
    return (await shown(name)).port
  }
  for (const [name, image] of [
    ['user_1_avatar.png', png],
    ['user_2_avatar.gif', gif],
  ] as const) {
    await expect.poll(() => inBucket(name), { timeout: 60_000 }).toBe(port)
    expect((await shown(name)).bytes).toEqual(image)
  }
  expect(await storage.getImageUrl('user_3_avatar.gif', 'avatars')).toBeNull()
  expect((await keepsake.list('avatars', { state: 'stored' })).assets).toHaveLength(2)
})
