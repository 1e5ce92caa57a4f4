/** Walks the document 003, section by section. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Doors, openDoors } from '../../../test/support/doors.ts'
import { apiKey } from '../../../test/support/http.ts'
import { openTestKeepsake } from '../../../test/support/keepsake.ts'
import { readAsset, readProblem } from '../../../test/support/service.ts'
import { resolveConfig } from '../../config/index.ts'
import { KeepsakeError, publicPrefixes } from '../../media/index.ts'
import { lineage, productPhotos, saveStage, saveThumb, stages, stageUrl, testConnection } from './index.ts'

const secret = 'a-secret-of-the-tests-that-is-long-enough'

/** What the document puts into server/.env. */
const env = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  S3_BUCKET: 'product-photos-ai',
  S3_PUBLIC_BASE: 'https://product-photos-ai.s3.us-east-1.amazonaws.com',
  S3_PRESIGNED_URL_EXPIRY: '3600',
}

describe('product photos', () => {
  let doors: Doors
  /** While it is true the bucket takes no objects. */
  let denied = false
  const refusePut = () => Promise.reject(new KeepsakeError('store_denied', 'The bucket denied s3:PutObject.'))
  let picture: Buffer
  beforeAll(async () => {
    doors = await openDoors({
      extensions: [productPhotos()],
      auth: { apiKeys: [apiKey], jwt: { keys: { secret } } },
      wrapStore: (store) =>
        new Proxy(store, {
          get(target, name) {
            if (denied && name === 'put') return refusePut
            const value: unknown = Reflect.get(target, name)
            return typeof value === 'function' ? value.bind(target) : value
          },
        }),
    })
    picture = await sharp({ create: { width: 640, height: 480, channels: 3, background: '#e8b04b' } })
      .png()
      .toBuffer()
  })
  afterAll(async () => {
    await doors?.stop()
  })

  const asUser = () => {
    const owner = randomUUID()
    return { owner, verbs: doors.keepsake.as({ role: 'user', owner }) }
  }
  const keysOf = (assets: readonly { readonly id: string }[]) => assets.map(({ id }) => id)

  it('keeps each stage under its folder (step 4)', async () => {
    const { verbs } = asUser()
    const source = { bytes: picture }
    const original = await saveStage(verbs, 'job_7', 'originals', source)
    for (const stage of stages) {
      const { key, collection, attributes } = await saveStage(verbs, 'job_7', stage, source, { parents: [original.id] })
      expect(key).toMatch(new RegExp(`^${stage}/job_7/[0-9a-f-]{36}\\.png$`))
      expect({ collection, attributes }).toEqual({ collection: `product-${stage}`, attributes: { job: 'job_7' } })
    }
    expect(stages).toEqual(['originals', 'masks', 'backgrounds', 'composites', 'thumbs'])
  })

  it('knows what came of an original, and what a composite was made from', async () => {
    const { verbs } = asUser()
    const save = (stage: (typeof stages)[number], parents: string[] = []) =>
      saveStage(verbs, 'job_8', stage, { bytes: picture }, { parents, provenance: { provider: 'replicate' } })
    const original = await save('originals')
    const mask = await save('masks', [original.id])
    const background = await save('backgrounds')
    const composite = await save('composites', [original.id, mask.id, background.id])
    const thumb = await saveThumb(verbs, composite.id)
    const other = await save('originals')

    expect(composite.provenance).toEqual({ provider: 'replicate', parents: [original.id, mask.id, background.id] })
    const ofOriginal = await lineage(verbs, original.id)
    expect(keysOf(ofOriginal.ancestors)).toEqual([])
    expect(keysOf(ofOriginal.descendants).sort()).toEqual([mask.id, composite.id, thumb.id].sort())
    const ofThumb = await lineage(verbs, thumb.id)
    expect(keysOf(ofThumb.ancestors)).toEqual([composite.id, original.id, mask.id, background.id])
    expect(await lineage(verbs, other.id)).toMatchObject({ ancestors: [], descendants: [], gone: [] })
    expect(keysOf((await verbs.list('product-composites', { parent: background.id })).assets)).toEqual([composite.id])

    await verbs.delete(mask.id)
    expect(await lineage(verbs, composite.id)).toMatchObject({ gone: [mask.id] })
    // Another user has nothing to do with it, and cannot make anything of it.
    const stranger = asUser().verbs
    await expect(lineage(stranger, original.id)).rejects.toMatchObject({ code: 'asset_not_found' })
    const stolen = saveStage(stranger, 'job_8', 'masks', { bytes: picture }, { parents: [original.id] })
    await expect(stolen).rejects.toMatchObject({ code: 'asset_not_found' })
    expect(keysOf((await lineage(verbs, original.id)).descendants)).not.toContain(mask.id)
  })

  it('looks at no more of a lineage than it can show, however often assets name each other', async () => {
    const { verbs } = asUser()
    const made = await saveStage(verbs, 'job_9', 'originals', { bytes: picture })
    let rows = 0
    let gets = 0
    const watched: typeof verbs = Object.create(verbs, {
      // Each has a thousand parents and a thousand children, half of which every other one has too.
      get: {
        value: async (id: string) => {
          gets += 1
          if (id !== made.id && gets % 2 === 0) throw new KeepsakeError('asset_not_found', 'Gone.')
          const parents = Array.from({ length: 1000 }, () => randomUUID())
          return { ...made, id, provenance: { parents } }
        },
      },
      list: {
        value: async (_: string, { limit = 50 }: { limit?: number }) => {
          rows += limit
          return { assets: Array.from({ length: limit }, (_, n) => ({ ...made, id: `${n}` })), nextCursor: null }
        },
      },
    })
    const { ancestors, descendants, gone } = await lineage(watched, made.id)
    expect([ancestors.length, descendants.length]).toEqual([1000, 1000])
    expect(gone.length).toBeLessThanOrEqual(5000)
    expect(gets).toBeLessThanOrEqual(5001)
    expect(rows).toBeLessThanOrEqual(5000)
  })

  it.each(['masks', 'composites', 'thumbs'] as const)(
    'asks of what goes to %s what it was made from',
    async (stage) => {
      const { verbs } = asUser()
      await expect(saveStage(verbs, 'job_9', stage, { bytes: picture })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining('Name its parents'),
      })
    },
  )

  it('makes thumbs, once each, and of images alone', async () => {
    const { verbs, owner } = asUser()
    const original = await saveStage(verbs, 'job_10', 'originals', { bytes: picture })
    const thumb = await saveThumb(verbs, original.id, 100)
    expect(thumb).toMatchObject({ owner, contentType: 'image/webp', width: 100, height: 75 })
    expect((await saveThumb(verbs, original.id, 100)).id).toBe(thumb.id)
    const truncated = await saveStage(verbs, 'job_10', 'originals', { bytes: picture.subarray(0, 60) })
    await expect(saveThumb(verbs, truncated.id)).rejects.toMatchObject({ code: 'content_type_refused' })
  })

  it('keeps what is only needed on the way for seven days (best practice 2)', async () => {
    const { verbs } = asUser()
    const temp = await saveStage(verbs, 'job_11', 'temp', { bytes: picture })
    expect(temp.key).toMatch(/^temporary\/job_11\//)
    expect(Number(temp.expiresAt) - Number(temp.storedAt)).toBe(7 * 86_400_000)
    const original = await saveStage(verbs, 'job_11', 'originals', { bytes: picture })
    expect(original.expiresAt).toBeNull()
  })

  it('gives presigned links of up to an hour (steps 1 and 6, server/storage/s3.js)', async () => {
    const { verbs } = asUser()
    await expect(stageUrl(verbs, 'job_12', 'composites')).rejects.toMatchObject({ code: 'asset_not_found' })
    await saveStage(verbs, 'job_12', 'originals', { bytes: picture })
    const newest = await saveStage(verbs, 'job_12', 'originals', { bytes: picture })
    const link = await stageUrl(verbs, 'job_12', 'originals')
    expect([link.id, new URL(link.url).searchParams.get('X-Amz-Expires')]).toEqual([newest.id, '3600'])
    expect(Buffer.from(await (await fetch(link.url)).arrayBuffer())).toEqual(picture)
    const short = await stageUrl(verbs, 'job_12', 'originals', { expiresIn: 60 })
    expect(new URL(short.url).searchParams.get('X-Amz-Expires')).toBe('60')
    await expect(stageUrl(verbs, 'job_12', 'originals', { expiresIn: 7200 })).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })

  describe('over HTTP', () => {
    async function client() {
      const authorization = `Bearer ${await doors.token(randomUUID())}`
      return (path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST') =>
        fetch(`${doors.api.url}/api/products${path}`, {
          method,
          headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
    }

    it('goes through a whole job', async () => {
      const call = await client()
      const base64 = picture.toString('base64')
      const save = async (stage: string, parents?: string[]) =>
        readAsset(await call(`/jobs/job_1/${stage}`, { base64, parents, provenance: { model: 'rembg' } }), 201)
      const original = await save('originals')
      const mask = await save('masks', [original.id])
      const composite = await save('composites', [original.id, mask.id])
      const thumb = await readAsset(await call(`/assets/${composite.id}/thumb?size=64`, undefined, 'POST'), 201)
      const listed = z.object({ stages: z.record(z.string(), z.array(z.looseObject({ id: z.string() }))) })
      const { stages: found } = listed.parse(await (await call('/jobs/job_1')).json())
      expect(Object.entries(found).map(([stage, assets]) => [stage, keysOf(assets)])).toEqual([
        ['originals', [original.id]],
        ['masks', [mask.id]],
        ['backgrounds', []],
        ['composites', [composite.id]],
        ['thumbs', [thumb.id]],
        ['temp', []],
      ])
      const tree = z.object({
        ancestors: z.array(z.looseObject({ id: z.string() })),
        descendants: z.array(z.looseObject({ id: z.string() })),
        gone: z.array(z.string()),
      })
      const { ancestors, descendants } = tree.parse(await (await call(`/assets/${mask.id}/lineage`)).json())
      expect([keysOf(ancestors), keysOf(descendants)]).toEqual([[original.id], [composite.id, thumb.id]])
      const { url } = z
        .object({ url: z.string() })
        .parse(await (await call('/jobs/job_1/thumbs/url?expiresIn=60')).json())
      expect((await fetch(url)).headers.get('content-type')).toBe('image/webp')

      const stranger = await client()
      expect((await readProblem(await stranger(`/assets/${mask.id}/lineage`))).code).toBe('asset_not_found')
      expect((await readProblem(await call('/jobs/job_1/drafts', { base64 }))).code).toBe('invalid_request')
      expect((await readProblem(await call('/jobs/job_1/masks', { base64 }))).code).toBe('invalid_request')
    })

    it('uploads straight to the bucket, by a presigned link (step 5)', async () => {
      const call = await client()
      const begun = await call('/jobs/job_2/originals/uploads', { contentType: 'image/png', size: picture.length })
      const { asset, upload } = z
        .object({
          asset: z.looseObject({ id: z.string() }),
          upload: z.object({ url: z.string(), headers: z.record(z.string(), z.string()) }),
        })
        .parse(await begun.json())
      expect((await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: picture })).status).toBe(200)
      expect((await doors.keepsake.completeUpload(asset.id)).key).toMatch(/^originals\/job_2\//)
      const parentless = await call('/jobs/job_2/masks/uploads', { contentType: 'image/png', size: 1 })
      expect((await readProblem(parentless)).code).toBe('invalid_request')
    })

    it('tells the service whose job it means, where two users call theirs the same', async () => {
      const [ada, eve] = [asUser(), asUser()]
      const hers = await saveStage(ada.verbs, 'job_3', 'originals', { bytes: picture })
      await saveStage(eve.verbs, 'job_3', 'originals', { bytes: picture })
      const { id } = await stageUrl(doors.keepsake, 'job_3', 'originals', { owner: ada.owner })
      expect(id).toBe(hers.id)
      const asked = async (path: string) => (await doors.server.call(`/api/products/jobs/job_3${path}`)).json()
      expect(await asked(`/originals/url?owner=${ada.owner}`)).toMatchObject({ id: hers.id })
      expect(await asked(`?owner=${ada.owner}`)).toMatchObject({ stages: { originals: [{ id: hers.id }] } })
      const call = await client()
      for (const path of ['', '/originals/url']) {
        expect((await readProblem(await call(`/jobs/job_3${path}?owner=${ada.owner}`))).code).toBe('forbidden')
      }
    })

    it('tests the connection, for an API key (step 7)', async () => {
      const call = await client()
      expect((await readProblem(await call('/connection'))).code).toBe('forbidden')
      const answer = await doors.server.call('/api/products/connection')
      expect(await answer.json()).toEqual({ ok: true, message: '✅ S3 connection successful!' })
    })
  })

  it('says why a connection fails, and leaves nothing in the bucket (step 7)', async () => {
    const before = await doors.objects()
    expect(await testConnection(doors.keepsake)).toEqual({ ok: true, message: '✅ S3 connection successful!' })
    expect(await doors.objects()).toEqual(before)
    denied = true
    const { ok, message } = await testConnection(doors.keepsake)
    denied = false
    expect(ok).toBe(false)
    expect(message).toMatch(/^❌ S3 connection failed: \S.+/)
    const broken = { doctor: () => Promise.reject(new KeepsakeError('stopping', 'This process is stopping.')) }
    expect((await testConnection(broken)).message).toBe('❌ S3 connection failed: This process is stopping.')
  })

  it('has a script that says so, and whose exit code tells too (step 7)', async () => {
    const script = resolve(import.meta.dirname, '../../../scripts/test-connection.ts')
    const run = (url: string) =>
      promisify(execFile)(process.execPath, [script, '--url', url], {
        env: { PATH: process.env.PATH, KEEPSAKE_API_KEY: apiKey },
      })
    expect((await run(doors.api.url)).stdout).toBe('✅ S3 connection successful!\n')
    denied = true
    const failing = run(doors.api.url)
    await expect(failing).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^❌ S3 connection failed: \S.+\n$/),
    })
    denied = false
    // Nobody listens there.
    await expect(run('http://127.0.0.1:9')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^❌ S3 connection failed: \S.+/),
    })
  })
})

it('a stage may be public, under S3_PUBLIC_BASE, and the others stay private beside it', async () => {
  const baseUrl = env.S3_PUBLIC_BASE
  const extensions = [productPhotos({ public: ['thumbs'] })]
  const { collections } = resolveConfig({ env, config: { extensions } })
  expect(publicPrefixes(collections.values())).toEqual(['thumbs/'])
  const keepsake = await openTestKeepsake({ extensions, baseUrl })
  try {
    const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#e8b04b' } })
      .png()
      .toBuffer()
    const original = await saveStage(keepsake, 'job_1', 'originals', { bytes })
    const thumb = await saveThumb(keepsake, original.id)
    expect(thumb).toMatchObject({ url: `${baseUrl}/${thumb.key}`, urlSource: 'public', urlExpiresAt: null })
    expect(original).toMatchObject({ urlSource: 'store', url: expect.stringContaining('X-Amz-Signature') })
  } finally {
    await keepsake.close()
  }
})

it('the environment of the document is honoured as it stands (step 6)', () => {
  const { objectStore, urls } = resolveConfig({ env })
  expect(objectStore).toMatchObject({
    kind: 's3',
    bucket: 'product-photos-ai',
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE' },
  })
  expect(urls).toEqual({ expiresIn: 3600, baseUrl: 'https://product-photos-ai.s3.us-east-1.amazonaws.com' })
})
