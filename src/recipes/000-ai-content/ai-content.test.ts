/** The document of recipe 000, section by section, against a real bucket and catalogue. README.md has the table. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { type RecipeServer, startRecipe } from '../../../test/support/recipe.ts'
import { until } from '../../../test/support/service.ts'
import { type SourceServer, startSourceServer } from '../../../test/support/source-server.ts'
import { imageSample, trackSample } from '../../intake/testing/index.ts'
import { aiContent, keepGenerated } from './index.ts'

const wallet_address = '0xABCD1234567890123456789012345678901234ABCD'
const wallet = 'abcd1234567890123456789012345678901234abcd'
const agent_id = 'crypto-memes-agent-001'
const model_name = 'dall-e-3'
const bucket = 'burnie-content-storage'
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/
const keyOf = (kind: string, extension: string) =>
  new RegExp(
    `^ai-generated/${wallet}/${agent_id}/${kind}/${model_name}/\\d{4}-\\d\\d-\\d\\d/\\d{6}_[0-9a-f]{8}(-\\d)?\\.${extension}$`,
  )

let source: SourceServer
let server: RecipeServer

beforeAll(async () => {
  source = await startSourceServer()
  server = await startRecipe({
    extension: aiContent(),
    // "Environment Variables (.env)", to the letter.
    env: { AWS_REGION: 'us-east-1', S3_BUCKET_NAME: bucket, KEEPSAKE_IMPORT_ALLOW_HOSTS: source.host },
  })
})
afterAll(async () => {
  await server?.stop()
  await source?.close()
})

type Answer = { presigned_url: string; details: Record<string, string | number> }

const upload = (path: string, more: object = {}, token?: string) =>
  server.call(
    '/api/s3/test-upload',
    { test_url: source.url(path), wallet_address, agent_id, model_name, ...more },
    token === undefined ? {} : { token },
  )

async function stored(path: string, more: object = {}): Promise<Answer & { details: { s3_key: string } }> {
  const { status, json } = await upload(path, more)
  expect([status, json]).toMatchObject([200, { status: 'success' }])
  return json as Answer & { details: { s3_key: string } }
}

describe('Health Check Endpoint', () => {
  it('answers as the document shows', async () => {
    expect(await server.call('/api/s3/health')).toMatchObject({
      status: 200,
      json: {
        service: 'S3 Storage',
        status: 'healthy',
        details: {
          success: true,
          message: 'Successfully connected to S3 bucket: burnie-content-storage',
          bucket: 'burnie-content-storage',
          region: 'us-east-1',
        },
      },
    })
  })

  it('says unhealthy, and why, in the same shape', async () => {
    const { status, json } = await server.withoutBucket(() => server.call('/api/s3/health'))
    expect([status, json]).toEqual([
      200,
      {
        service: 'S3 Storage',
        status: 'unhealthy',
        details: {
          success: false,
          message: expect.stringContaining('Cannot connect to S3 bucket: burnie-content-storage. '),
          bucket,
          region: 'us-east-1',
          error: 'store_unavailable',
        },
      },
    ])
  })

  it('is for who has a key', async () => {
    expect((await server.call('/api/s3/health', undefined, { token: 'wrong' })).status).toBe(401)
  })
})

describe('Configure Bucket for Private Access', () => {
  const call = (token?: string) =>
    server.call('/api/s3/configure-bucket', '', { method: 'POST', ...(token ? { token } : {}) })

  it('answers as the document shows', async () => {
    const { status, json } = await call()
    expect([status, json]).toEqual([
      200,
      {
        configuration: 'S3 Bucket Configuration',
        status: 'info',
        message: 'Bucket burnie-content-storage is configured for private access with pre-signed URLs',
        details: {
          access_method: 'pre-signed URLs only',
          bucket,
          region: 'us-east-1',
          max_url_expiration: '1 hour (3600 seconds)',
          security: 'All content private by default',
        },
      },
    ])
  })

  it('does not say so of a bucket that anybody may read', async () => {
    const sdk = await import('@aws-sdk/client-s3')
    const { credentials } = await import('../../../test/support/recipe.ts')
    const client = new sdk.S3Client({
      endpoint: server.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials,
    })
    const { PublicAccessBlockConfiguration } = await client.send(
      new sdk.GetPublicAccessBlockCommand({ Bucket: bucket }),
    )
    await client.send(new sdk.DeletePublicAccessBlockCommand({ Bucket: bucket }))
    const Resource = `arn:aws:s3:::${bucket}/*`
    const Statement = [{ Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource }]
    await client.send(
      new sdk.PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
    )
    try {
      expect((await call()).json).toMatchObject({
        status: 'warning',
        message: expect.stringContaining(`Bucket ${bucket} is not private`),
        details: { security: 'Not private', findings: [{ id: 'S3.2', fix: expect.any(String) }] },
      })
    } finally {
      await client.send(new sdk.DeleteBucketPolicyCommand({ Bucket: bucket }))
      await client.send(new sdk.PutPublicAccessBlockCommand({ Bucket: bucket, PublicAccessBlockConfiguration }))
      client.destroy()
    }
  })

  it('is for an API key', async () => {
    expect((await call(await server.token('ada'))).status).toBe(403)
  })
})

describe('Test Upload Endpoint', () => {
  it('answers as the document shows, and the URL opens the picture', async () => {
    const { status, json } = await upload('/picture.png')
    expect([status, json]).toEqual([
      200,
      {
        test: 'S3 Upload Test',
        status: 'success',
        original_url: source.url('/picture.png'),
        presigned_url: expect.stringContaining(`/${bucket}/ai-generated/${wallet}/${agent_id}/images/${model_name}/`),
        details: {
          s3_key: expect.stringMatching(keyOf('images', 'png')),
          bucket,
          file_size: source.png.length,
          uploaded_at: expect.stringMatching(isoTime),
          expires_at: expect.stringMatching(isoTime),
          expires_in_seconds: 3600,
          access_method: 'pre-signed URL (private bucket)',
        },
      },
    ])
    const opened = await fetch((json as Answer).presigned_url)
    expect(Buffer.from(await opened.arrayBuffer())).toEqual(source.png)
    expect(opened.headers.get('content-type')).toBe('image/png')
    const bare = await fetch((json as Answer).presigned_url.split('?')[0] ?? '')
    expect(bare.status).toBe(403)
  })

  it.each([
    ['not a body', { wallet_address: undefined }, 400, 'invalid_request'],
    ['a kind that it is not', { content_type: 'video' }, 422, 'content_mismatch'],
  ])('refuses %s in the document’s shape', async (_, more, status, code) => {
    expect(await upload('/picture.png', more)).toMatchObject({
      status,
      json: {
        test: 'S3 Upload Test',
        status: 'failed',
        original_url: source.url('/picture.png'),
        code,
        error: expect.any(String),
      },
    })
  })

  it('refuses what is no JSON in the document’s shape', async () => {
    const failed = { status: 'failed', code: 'invalid_request', error: 'Malformed JSON in request body.' }
    expect(await server.call('/api/s3/test-upload', '{"test_url": ')).toMatchObject({
      status: 400,
      json: { test: 'S3 Upload Test', original_url: null, ...failed },
    })
    expect(await server.call('/api/s3/generate-presigned-url', '{')).toMatchObject({
      status: 400,
      json: { presigned_url_generation: 'Failed', ...failed },
    })
  })

  it.each([
    ['this network', 'http://169.254.169.254/latest/meta-data', 422, 'source_forbidden'],
    ['another protocol', 'file:///etc/passwd', 422, 'source_forbidden'],
    ['no URL', 'nothing', 400, 'invalid_source'],
  ])('refuses %s as a source', async (_, test_url, status, code) => {
    expect(await upload('', { test_url })).toMatchObject({
      status,
      json: { status: 'failed', original_url: test_url, code },
    })
  })
})

describe('Generate Pre-signed URL', () => {
  it('answers as the document shows, for exactly as long as was asked', async () => {
    const { details } = await stored('/picture.png')
    const { status, json } = await server.call('/api/s3/generate-presigned-url', {
      s3_key: details.s3_key,
      expiration: 3600,
    })
    expect([status, json]).toEqual([
      200,
      {
        presigned_url_generation: 'Success',
        status: 'success',
        presigned_url: expect.stringContaining(`/${bucket}/${details.s3_key}?`),
        details: {
          s3_key: details.s3_key,
          bucket,
          expires_in_seconds: 3600,
          expires_at: expect.stringMatching(isoTime),
          generated_at: expect.stringMatching(isoTime),
        },
      },
    ])
    const { expires_at, generated_at } = (json as Answer).details
    expect(Date.parse(`${expires_at}Z`) - Date.parse(`${generated_at}Z`)).toBe(3_600_000)
    expect(Math.abs(Date.parse(`${generated_at}Z`) - Date.now())).toBeLessThan(60_000)
    expect((await fetch((json as Answer).presigned_url)).status).toBe(200)
  })

  it('takes an hour where nothing is said, and refuses more, less, and what is no integer', async () => {
    const { s3_key } = (await stored('/picture.png')).details
    const call = (expiration: unknown) => server.call('/api/s3/generate-presigned-url', { s3_key, expiration })
    expect((await call(undefined)).json).toMatchObject({ details: { expires_in_seconds: 3600 } })
    expect((await call(1)).json).toMatchObject({ status: 'success', details: { expires_in_seconds: 1 } })
    for (const wrong of [0, -1, 3601, 1.5, '3600', null]) {
      expect(await call(wrong)).toMatchObject({
        status: 400,
        json: {
          presigned_url_generation: 'Failed',
          status: 'failed',
          code: 'invalid_request',
          error: expect.stringContaining('expiration'),
        },
      })
    }
  })

  it('gives a URL that ends when it said', async () => {
    const { s3_key } = (await stored('/picture.png')).details
    const { json } = await server.call('/api/s3/generate-presigned-url', { s3_key, expiration: 1 })
    const { presigned_url, details } = json as Answer
    await delay(Math.max(0, Date.parse(`${details.expires_at}Z`) - Date.now()) + 1500)
    expect((await fetch(presigned_url)).status).toBe(403)
  })

  it('refuses a key that is not known, another owner’s, and one of Keepsake’s own; nothing is signed', async () => {
    const { s3_key } = (await stored('/picture.png')).details
    const token = await server.token('ada')
    const mine = (await upload('/picture.png', {}, token)).json as Answer
    const mineKey = String(mine.details.s3_key)
    const call = (key: string, as?: string) =>
      server.call('/api/s3/generate-presigned-url', { s3_key: key }, as ? { token: as } : {})
    const refused = {
      status: 404,
      json: { presigned_url_generation: 'Failed', status: 'failed', code: 'asset_not_found' },
    }
    expect(await call('ai-generated/nobody/none/images/x/2024-01-15/143052_a1b2c3d4.jpg')).toMatchObject(refused)
    expect(await call('.keepsake/installation')).toMatchObject(refused)
    expect(await call(s3_key, token)).toMatchObject(refused)
    expect((await call(mineKey, token)).status).toBe(200)
    expect((await call(mineKey)).status).toBe(200)
  })

  it('is for the user whose tokens call themselves otherwise than the wallet is kept, where the API key says so', async () => {
    const ask = async (s3_key: string, sub: string) =>
      (await server.call('/api/s3/generate-presigned-url', { s3_key }, { token: await server.token(sub) })).status
    const { s3_key } = (await stored('/picture.png', { owner: wallet_address })).details
    expect(s3_key).toContain(`ai-generated/${wallet}/`)
    expect(await Promise.all([ask(s3_key, wallet_address), ask(s3_key, 'another')])).toEqual([200, 404])
    const other = await upload('/picture.png', { owner: 'bob' }, await server.token('ada'))
    expect(other).toMatchObject({ status: 403, json: { status: 'failed', code: 'forbidden' } })
  })

  it('is in the audit, without the URL', async () => {
    const { s3_key } = (await stored('/picture.png')).details
    const { id } = await server.keepsake.getByKey(s3_key)
    const before = await server.keepsake.audit({ asset: id })
    await server.call('/api/s3/generate-presigned-url', { s3_key })
    const { entries } = await server.keepsake.audit({ asset: id })
    const [issued] = entries.filter((entry) => !before.entries.some((old) => old.id === entry.id))
    // Looking the asset up gives a link too; each one is written down.
    expect(entries.length).toBeGreaterThan(before.entries.length)
    expect(issued).toMatchObject({ action: 'url.issued', owner: wallet, actor: 'service' })
    expect(JSON.stringify(entries)).not.toContain('X-Amz-Signature')
    expect(server.log()).not.toContain('X-Amz-Signature')
  })
})

describe('S3 Folder Structure and Supported Content Types', () => {
  const riff = (form: string) =>
    Buffer.concat([Buffer.from('RIFF\x24\0\0\0', 'latin1'), Buffer.from(form), Buffer.alloc(64, 1)])
  const samples: Record<string, () => Promise<Buffer> | Buffer> = {
    'jpg images image/jpeg': () => imageSample('jpeg'),
    'png images image/png': () => imageSample('png'),
    'gif images image/gif': () => imageSample('gif'),
    'webp images image/webp': () => imageSample('webp'),
    'mp4 videos video/mp4': () => trackSample('mp4'),
    // A pack header of MPEG-1, then a system header (ISO/IEC 11172-1, section 2.4.3.2).
    'mpeg videos video/mpeg': () =>
      Buffer.concat([Buffer.from('000001ba2100010001800001000001bb000c800001', 'hex'), Buffer.alloc(64, 1)]),
    'mov videos video/quicktime': () => trackSample('mov'),
    'avi videos video/x-msvideo': () => riff('AVI LIST'),
    'webm videos video/webm': () => trackSample('webm'),
  }

  it.each(Object.keys(samples))('%s', async (name) => {
    const [extension = '', folder = '', contentType = ''] = name.split(' ')
    const bytes = await samples[name]?.()
    const by = { wallet: wallet_address, agent: agent_id, model: model_name }
    const answer = { data: [{ b64_json: bytes?.toString('base64') ?? '' }] }
    const [kept] = await keepGenerated(server.keepsake, answer, by)
    if (!kept || !('asset' in kept)) throw kept?.error
    expect(kept.asset).toMatchObject({ state: 'stored', contentType, owner: wallet })
    expect(kept.asset.key).toMatch(keyOf(folder, extension))
    expect((await fetch(kept.asset.url ?? '')).headers.get('content-type')).toBe(contentType)
  })

  it('SVG, as a file to save: it could run a script where it is opened', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    const answer = { data: [{ b64_json: Buffer.from(svg).toString('base64') }] }
    const [kept] = await keepGenerated(server.keepsake, answer, { wallet, agent: agent_id, model: model_name })
    if (!kept || !('asset' in kept)) throw kept?.error
    expect(kept.asset).toMatchObject({ state: 'stored', contentType: 'image/svg+xml' })
    expect(kept.asset.key).toMatch(keyOf('images', 'svg'))
    const opened = await fetch(kept.asset.url ?? '')
    expect(await opened.text()).toBe(svg)
    expect(opened.headers.get('content-type')).toBe('image/svg+xml')
    expect(opened.headers.get('content-disposition')).toMatch(/^attachment;/)
  })

  it.each([
    ['a page', '<!doctype html><title>x</title>'],
    ['text', 'not a picture'],
  ])('not %s, which is refused with what was found', async (_, text) => {
    const answer = { data: [{ b64_json: Buffer.from(text).toString('base64') }] }
    const [kept] = await keepGenerated(server.keepsake, answer, { wallet, agent: agent_id, model: model_name })
    expect(kept).toMatchObject({ error: { code: 'content_type_refused' } })
  })

  it('each wallet has its own space, whatever way it is spelled', async () => {
    await stored('/picture.png')
    const { assets } = await server.keepsake.list('ai-generated', {
      owner: wallet,
      attributes: { wallet: wallet_address },
    })
    expect(assets.length).toBeGreaterThan(0)
    const other = '0x1234567890123456789012345678901234567890'
    const { details } = await stored('/picture.png', { wallet_address: other })
    expect(details.s3_key).toContain('ai-generated/1234567890123456789012345678901234567890/')
    expect((await server.keepsake.list('ai-generated', { owner: other.slice(2) })).assets).toHaveLength(1)
  })
})

describe('Error Handling & Security', () => {
  test('S3 upload failure: falls back to the original URL, and stores it when the bucket is back', async () => {
    const { status, json } = await server.withoutBucket(() => upload('/picture.png'))
    expect([status, json]).toEqual([
      202,
      {
        test: 'S3 Upload Test',
        status: 'pending',
        original_url: source.url('/picture.png'),
        presigned_url: source.url('/picture.png'),
        details: {
          asset_id: expect.any(String),
          bucket,
          message: expect.stringContaining('Keepsake goes on trying'),
          access_method: 'original URL (fallback)',
        },
      },
    ])
    const id = String((json as Answer).details.asset_id)
    const kept = await until(
      () => server.keepsake.get(id),
      ({ state }) => state !== 'pending',
    )
    expect(kept).toMatchObject({ state: 'stored', key: expect.stringMatching(keyOf('images', 'png')) })
  })

  test('network errors: retried with growing pauses', async () => {
    source.behave('/shaky.png', '/flaky/2')
    const before = source.asked('/shaky.png')
    const { status } = await upload('/shaky.png')
    expect([200, 202]).toContain(status)
    expect(source.asked('/shaky.png')).toBeGreaterThan(before + 1)
  })

  test('a source that is gone: a plain answer', async () => {
    expect(await upload('/status/404')).toMatchObject({ status: 422, json: { status: 'failed', code: 'source_gone' } })
  })
})

test('the calls are in the API’s own documentation', async () => {
  const { json } = await server.call('/openapi.json')
  const { paths } = json as { paths: Record<string, unknown> }
  expect(Object.keys(paths).filter((path) => path.startsWith('/api/s3'))).toEqual([
    '/api/s3/health',
    '/api/s3/configure-bucket',
    '/api/s3/generate-presigned-url',
    '/api/s3/test-upload',
    '/api/s3/keep-generated',
  ])
})
