/** The document of recipe 001, section by section, against a real bucket and catalogue. README.md has the table. */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { moveClock } from '../../../test/support/databases.ts'
import { openTestParts } from '../../../test/support/keepsake.ts'
import { type RecipeServer, startRecipe } from '../../../test/support/recipe.ts'
import { KeepsakeError } from '../../index.ts'
import { aacSample, imageSample, mp3Sample, trackSample } from '../../intake/testing/index.ts'
import { audioFormats, createCleanupService, echoes, validateAudioFile } from './index.ts'

const bucket = 'echoes-audio-dev-123456789012'
/** "Environment Configuration", to the letter but for the profile, which needs an AWS. */
const env = {
  S3_BUCKET_NAME: bucket,
  AWS_REGION: 'us-east-1',
  S3_PRESIGNED_URL_EXPIRATION: '3600',
  MAX_AUDIO_FILE_SIZE: '10485760',
}

let server: RecipeServer
let token: string
let sound: Buffer

beforeAll(async () => {
  sound = await trackSample('audio.webm')
  server = await startRecipe({ extension: echoes({ env }), env })
  token = await server.token('user123')
})
afterAll(() => server?.stop())

type UploadUrl = {
  upload_url: string
  echo_id: string
  s3_key: string
  expires_in: number
  headers: Record<string, string>
}

const webm = { file_extension: 'webm', content_type: 'audio/webm' }
const call = (path: string, body?: unknown, method?: string, as = token) =>
  server.call(path, body, { token: as, ...(method ? { method } : {}) })

async function uploadUrl(body: object = webm, as = token, path = '/echoes/upload-url'): Promise<UploadUrl> {
  const { status, json } = await call(path, body, 'POST', as)
  expect([status, json]).toMatchObject([201, {}])
  return json as UploadUrl
}

/** As the document's clients do it: a PUT with a Content-Type, and that is all. */
const put = (url: string, bytes: Uint8Array, contentType = 'audio/webm', headers: Record<string, string> = {}) =>
  fetch(url, { method: 'PUT', headers: { 'Content-Type': contentType, ...headers }, body: new Uint8Array(bytes) })

async function echo(bytes: Uint8Array = sound, words: object = {}, as = token) {
  const given = await uploadUrl(webm, as)
  expect((await put(given.upload_url, bytes)).status).toBe(200)
  const { status, json } = await call('/echoes', { echo_id: given.echo_id, ...words }, 'POST', as)
  expect([status, json]).toMatchObject([201, {}])
  return json as { echo_id: string; s3_key: string; audio_url: string }
}

const samples: Record<keyof typeof audioFormats, () => Promise<Buffer> | Buffer> = {
  webm: () => trackSample('audio.webm'),
  wav: () => trackSample('wav'),
  mp3: () => mp3Sample(),
  m4a: () => Buffer.concat([Buffer.from('\0\0\0\x18ftypM4A \0\0\0\0M4A mp42', 'latin1'), Buffer.alloc(200, 1)]),
  ogg: () => trackSample('ogg'),
  flac: () => Buffer.concat([Buffer.from('fLaC\0\0\0\x22', 'latin1'), Buffer.alloc(200, 1)]),
  aac: () => aacSample(),
}

describe.each(['/echoes/upload-url', '/echoes/init-upload'])('POST %s', (path) => {
  it('answers as the document shows', async () => {
    const { status, json } = await call(path, webm)
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/')
    expect([status, json]).toEqual([
      201,
      {
        upload_url: expect.stringContaining('X-Amz-Signature='),
        echo_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        s3_key: expect.stringMatching(new RegExp(`^user123/${day}/[0-9a-f-]{36}\\.webm$`)),
        expires_in: 3600,
        headers: { 'Content-Type': 'audio/webm' },
        max_file_size: 10_485_760,
      },
    ])
    const { echo_id, s3_key } = json as UploadUrl
    expect(s3_key.endsWith(`/${echo_id}.webm`)).toBe(true)
  })

  it.each([
    ['an extension that is no sound', { file_extension: 'txt', content_type: 'text/plain' }],
    ['an extension and a type that do not agree', { file_extension: 'webm', content_type: 'audio/mp3' }],
    ['a type with parameters', { file_extension: 'webm', content_type: 'audio/webm;codecs=opus' }],
    ['no extension', { content_type: 'audio/webm' }],
    ['no type', { file_extension: 'webm' }],
  ])('refuses %s, and says what is taken', async (_, body) => {
    expect(await call(path, body)).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
  })

  it('refuses what is too large before anything is sent', async () => {
    const refused = await call(path, { ...webm, file_size: 10_485_761 })
    expect(refused).toMatchObject({ status: 413, json: { code: 'content_too_large' } })
  })

  it('is for who is signed in', async () => {
    expect((await call(path, webm, 'POST', 'wrong')).status).toBe(401)
    expect((await server.app.request(path, { method: 'POST' })).status).toBe(401)
  })
})

describe('Supported Audio Formats', () => {
  it('are the seven of the document', () => {
    expect(audioFormats).toEqual({
      webm: 'audio/webm',
      wav: 'audio/wav',
      mp3: 'audio/mpeg',
      m4a: 'audio/mp4',
      ogg: 'audio/ogg',
      flac: 'audio/flac',
      aac: 'audio/aac',
    })
  })

  it.each(Object.entries(audioFormats))(
    '%s (%s) is sent, kept, and opens as what it is',
    async (extension, contentType) => {
      const bytes = (await samples[extension as keyof typeof audioFormats]()) ?? Buffer.alloc(0)
      const given = await uploadUrl({ file_extension: extension, content_type: contentType })
      expect(given.s3_key.endsWith(`.${extension}`)).toBe(true)
      expect((await put(given.upload_url, bytes, contentType)).status).toBe(200)
      const { status, json } = await call('/echoes', { echo_id: given.echo_id })
      expect([status, json]).toMatchObject([201, { content_type: contentType, file_size: bytes.length }])
      const opened = await fetch((json as { audio_url: string }).audio_url)
      expect([opened.status, opened.headers.get('content-type')]).toEqual([200, contentType])
    },
  )
})

describe('Enhanced File Upload Flow', () => {
  it('creates an echo of what was uploaded, with what is told of it', async () => {
    const given = await uploadUrl()
    expect((await put(given.upload_url, sound)).status).toBe(200)
    const body = {
      emotion: 'joy',
      tags: ['test', 'automated', 'Test'],
      transcript: 'This is a test audio file',
      detected_mood: 'happy',
      file_extension: 'webm',
      duration_seconds: 5,
      location: { lat: 37.7749, lng: -122.4194, address: 'San Francisco, CA' },
    }
    const { status, json } = await call(`/echoes?echo_id=${given.echo_id}`, body)
    const expected = {
      echo_id: given.echo_id,
      user_id: 'user123',
      s3_key: given.s3_key,
      s3_url: `s3://${bucket}/${given.s3_key}`,
      audio_url: expect.stringContaining(given.s3_key),
      content_type: 'audio/webm',
      file_size: sound.length,
      duration_seconds: expect.closeTo(2, 0),
      emotion: 'joy',
      tags: ['test', 'automated'],
      transcript: 'This is a test audio file',
      detected_mood: 'happy',
      location: body.location,
      timestamp: expect.any(String),
      created_at: expect.any(String),
    }
    expect([status, json]).toEqual([201, expected])
    // Again, as after a lost answer; and with other words, which come too late.
    expect(await call(`/echoes?echo_id=${given.echo_id}`, body)).toMatchObject({
      status: 201,
      json: { emotion: 'joy' },
    })
    expect(await call('/echoes', { s3_key: given.s3_key, ...body, emotion: 'fear' })).toMatchObject({ status: 409 })
    expect((await call(`/echoes/${given.echo_id}`)).json).toEqual(expected)
    expect(await server.keys('user123/')).toContain(given.s3_key)
    expect(await server.keys('temp/uploads/')).not.toContain(given.s3_key)
  })

  it('says so where the file is not there yet', async () => {
    const { echo_id } = await uploadUrl()
    expect(await call('/echoes', { echo_id })).toMatchObject({ status: 409, json: { code: 'upload_incomplete' } })
    expect(await call(`/echoes/${echo_id}`)).toMatchObject({ status: 404 })
  })

  it.each([
    ['more than 10 MB', () => Buffer.concat([sound, Buffer.alloc(10 * 1024 * 1024)]), 413, 'content_too_large'],
    ['a picture', () => imageSample('png'), 422, 'content_type_refused'],
    ['a sound of another type', () => mp3Sample(), 422, 'content_mismatch'],
    ['a film', () => trackSample('webm'), 422, 'content_type_refused'],
    [
      'what only begins like one',
      () => Buffer.concat([Buffer.from('1a45dfa3', 'hex'), Buffer.alloc(1024)]),
      422,
      'content_type_refused',
    ],
  ])('removes %s', async (_, bytes, status, code) => {
    const given = await uploadUrl()
    expect((await put(given.upload_url, await bytes())).status).toBe(200)
    expect(await call('/echoes', { echo_id: given.echo_id })).toMatchObject({ status, json: { code } })
    expect(await server.keys('user123/')).not.toContain(given.s3_key)
    expect(await server.keys('temp/uploads/')).toEqual([])
  })

  it('refuses words that do not fit', async () => {
    const { echo_id } = await uploadUrl()
    for (const wrong of [
      { location: { lat: 91, lng: 0 } },
      { tags: 'joy' },
      { transcript: 'x'.repeat(1001) },
      { file_extension: 'mp3' },
    ]) {
      expect(await call('/echoes', { echo_id, ...wrong })).toMatchObject({ status: 400 })
    }
    expect(await call('/echoes', {})).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('echo_id') },
    })
  })
})

describe('Presigned URL Security', () => {
  it('binds to the content type', async () => {
    const { upload_url } = await uploadUrl()
    expect((await put(upload_url, sound, 'text/html')).status).toBe(403)
  })

  it('binds to the length where the client says it', async () => {
    const { upload_url } = await uploadUrl({ ...webm, file_size: sound.length })
    expect((await put(upload_url, Buffer.concat([sound, sound]))).status).toBe(403)
    expect((await put(upload_url, sound)).status).toBe(200)
  })

  it('takes no header that it does not say, as S3 does not: the bucket encrypts by itself', async () => {
    const { upload_url, headers } = await uploadUrl()
    expect(headers).toEqual({ 'Content-Type': 'audio/webm' })
    expect((await put(upload_url, sound, 'audio/webm', { 'x-amz-server-side-encryption': 'AES256' })).status).toBe(403)
    expect((await put(upload_url, sound)).status).toBe(200)
  })

  it('writes nothing over what is stored', async () => {
    const given = await uploadUrl()
    await put(given.upload_url, sound)
    const first = await call('/echoes', { echo_id: given.echo_id })
    await put(given.upload_url, Buffer.concat([sound, Buffer.from('replaced')]))
    const { audio_url } = first.json as { audio_url: string }
    expect(Buffer.from(await (await fetch(audio_url)).arrayBuffer())).toEqual(sound)
  })

  it('is in the audit, without the URL', async () => {
    const { echo_id } = await uploadUrl()
    const { entries } = await server.keepsake.audit({ asset: echo_id })
    expect(entries).toMatchObject([{ action: 'asset.reserved', owner: 'user123', actor: 'user:user123' }])
    expect(JSON.stringify(entries) + server.log()).not.toContain('X-Amz-Signature')
  })
})

describe('Echo retrieval and deletion', () => {
  it('lists a user’s own, newest first, by page, emotion and day', async () => {
    const eve = await server.token('eve')
    const first = await echo(sound, { emotion: 'Calm' }, eve)
    const second = await echo(sound, { emotion: 'joy' }, eve)
    const page = await call('/echoes?page_size=1', undefined, 'GET', eve)
    expect(page).toMatchObject({
      status: 200,
      json: { echoes: [{ echo_id: second.echo_id }], page_size: 1, has_more: true },
    })
    const { next_key } = page.json as { next_key: string }
    expect((await call(`/echoes?page_size=1&next_key=${next_key}`, undefined, 'GET', eve)).json).toMatchObject({
      echoes: [{ echo_id: first.echo_id }],
      has_more: false,
      next_key: null,
    })
    const ids = async (query: string) =>
      ((await call(`/echoes?${query}`, undefined, 'GET', eve)).json as { echoes: { echo_id: string }[] }).echoes.map(
        (one) => one.echo_id,
      )
    expect(await ids('emotion=calm')).toEqual([first.echo_id])
    expect(await ids('start_date=2000-01-01T00:00:00Z')).toHaveLength(2)
    expect(await ids('end_date=2000-01-01T00:00:00')).toHaveLength(0)
    expect((await call('/echoes?page_size=101', undefined, 'GET', eve)).status).toBe(400)
    // In UTC the year 10000, which is no time that PostgreSQL reads.
    const late = '/echoes?start_date=9999-12-31T23:59:59-23:59'
    expect((await call(late, undefined, 'GET', eve)).status).toBe(400)
    expect((await call('/echoes?user_id=user123', undefined, 'GET', eve)).status).toBe(403)
  })

  it('is nobody else’s to see, to create or to delete', async () => {
    const mine = await echo()
    const upload = await uploadUrl()
    const bob = await server.token('bob')
    expect((await call(`/echoes/${mine.echo_id}`, undefined, 'GET', bob)).status).toBe(404)
    expect((await call(`/echoes/${mine.echo_id}`, undefined, 'DELETE', bob)).status).toBe(404)
    expect((await call('/echoes', { echo_id: upload.echo_id }, 'POST', bob)).status).toBe(404)
    expect((await call('/echoes', { s3_key: upload.s3_key }, 'POST', bob)).status).toBe(404)
    expect((await call('/echoes', undefined, 'GET', bob)).json).toMatchObject({ echoes: [] })
  })

  it('deletes the echo and its file', async () => {
    const { echo_id, s3_key } = await echo()
    expect(await server.keys('user123/')).toContain(s3_key)
    expect((await call(`/echoes/${echo_id}`, undefined, 'DELETE')).status).toBe(204)
    expect(await server.keys('user123/')).not.toContain(s3_key)
    expect((await call(`/echoes/${echo_id}`)).status).toBe(404)
    expect((await call(`/echoes/${echo_id}`, undefined, 'DELETE')).status).toBe(404)
    expect((await call('/echoes/not-an-id')).status).toBe(404)
  })

  it('an API key acts for the user it names, and has to name one', async () => {
    expect(await server.call('/echoes/upload-url', webm)).toMatchObject({ status: 400 })
    const { status, json } = await server.call('/echoes/upload-url', { ...webm, user_id: 'carol' })
    expect([status, json]).toMatchObject([201, { s3_key: expect.stringMatching(/^carol\//) }])
    await put((json as UploadUrl).upload_url, sound)
    const { echo_id } = json as UploadUrl
    expect(await server.call('/echoes', { echo_id })).toMatchObject({ status: 201, json: { user_id: 'carol' } })
    expect((await server.call('/echoes?user_id=carol')).json).toMatchObject({ echoes: [{ echo_id }] })
    expect((await call(`/echoes/${echo_id}`, undefined, 'GET', await server.token('carol'))).status).toBe(200)
  })

  it('has a health check', async () => {
    expect(await call('/echoes/health')).toMatchObject({
      status: 200,
      json: { service: 'Echoes', status: 'healthy', bucket },
    })
    const down = await server.withoutBucket(() => call('/echoes/health'))
    expect(down).toMatchObject({ status: 503, json: { status: 'unhealthy', error: 'store_unavailable' } })
  })
})

describe('Audio Cleanup Service', () => {
  it('reports, verifies and cleans up a user’s files', async () => {
    const dave = await server.token('dave')
    const [one, two] = [await echo(sound, {}, dave), await echo(sound, {}, dave)]
    const service = createCleanupService(server.keepsake)
    expect(await service.getStorageReport('dave')).toEqual({
      user_id: 'dave',
      s3_storage: {
        total_files: 2,
        total_size_bytes: 2 * sound.length,
        total_size_mb: Math.round(((2 * sound.length) / 1024 ** 2) * 100) / 100,
      },
      db_echo_count: 2,
      old_echoes_count: 0,
      potential_cleanup_savings: { files: 0, size_bytes: 0 },
      report_timestamp: expect.any(String),
    })
    expect(await service.verifyFileIntegrity('dave')).toMatchObject({
      total_echoes: 2,
      verified_files: 2,
      missing_files: 0,
    })
    await server.bucket.delete([one.s3_key])
    expect(await service.verifyFileIntegrity('dave')).toMatchObject({
      user_id: 'dave',
      total_echoes: 2,
      verified_files: 1,
      missing_files: 1,
      errors: 0,
      missing_files_details: [{ echo_id: one.echo_id, s3_key: one.s3_key, created_at: expect.any(String) }],
    })
    expect(await service.cleanupOldFiles('dave')).toMatchObject({
      user_id: 'dave',
      files_deleted: 0,
      older_than_days: 365,
    })
    expect((await call(`/echoes/${two.echo_id}`, undefined, 'GET', dave)).status).toBe(200)
    await expect(service.cleanupOldFiles('dave', 0)).rejects.toSatisfy((error) =>
      KeepsakeError.is(error, 'invalid_request'),
    )
  })

  it('deletes what is older than was said, of that user alone', async () => {
    const collections = echoes({ env: {} }).collections ?? {}
    const { keepsake, database } = await openTestParts({ collections })
    try {
      const keep = (owner: string) => keepsake.import('echoes', { source: { bytes: sound }, owner })
      const [old] = await Promise.all([keep('user123'), keep('user456')])
      await moveClock(database, 366 * 86_400)
      const young = await keep('user123')
      const service = createCleanupService(keepsake)
      expect(await service.getStorageReport('user123')).toMatchObject({
        old_echoes_count: 1,
        potential_cleanup_savings: { files: 1, size_bytes: sound.length },
      })
      expect(await service.cleanupOldFiles('user123', 365)).toEqual({
        user_id: 'user123',
        files_deleted: 1,
        bytes_deleted: sound.length,
        older_than_days: 365,
        cleanup_timestamp: expect.any(String),
      })
      await expect(keepsake.get(old.id)).rejects.toMatchObject({ code: 'asset_not_found' })
      expect(await keepsake.get(young.id)).toMatchObject({ state: 'stored' })
      expect((await keepsake.list('echoes', { owner: 'user456' })).assets).toHaveLength(1)
    } finally {
      await keepsake.close()
    }
  })

  it('finds files that no echo knows, and takes nothing away at the first sight', async () => {
    const mary = await server.token('mary')
    const { s3_key, echo_id } = await echo(sound, {}, mary)
    const orphan = s3_key.replace(echo_id, '00000000-0000-7000-8000-000000000000')
    await server.bucket.copy({
      source: s3_key,
      key: orphan,
      settings: {
        contentType: 'audio/webm',
        metadata: { asset: '00000000-0000-7000-8000-000000000000', owner: 'mary', collection: 'echoes' },
      },
    })
    const service = createCleanupService(server.keepsake)
    const found = {
      user_id: 'mary',
      s3_files_found: 2,
      db_files_found: 1,
      orphaned_files_found: 1,
      files_quarantined: 0,
      cleanup_timestamp: expect.any(String),
    }
    expect(await service.cleanupOrphanedFiles('mary')).toEqual(found)
    // Seen for the first time today: only tomorrow may it go.
    expect(await service.cleanupOrphanedFiles('mary', { expect: 1 })).toEqual(found)
    await expect(service.cleanupOrphanedFiles('mary', { expect: 2 })).rejects.toMatchObject({ code: 'upkeep_refused' })
    expect(await server.keys('mary/')).toEqual([orphan, s3_key].sort())
    expect(await service.cleanupOrphanedFiles()).toMatchObject({ user_id: null })
  })
})

describe('Configuration Options', () => {
  test('validate_audio_file', () => {
    expect(validateAudioFile('webm', 'audio/webm', 1_024_000)).toBeUndefined()
    expect(validateAudioFile('.WEBM', 'audio/webm')).toBeUndefined()
    expect(() => validateAudioFile('webm', 'audio/webm', 10_485_761)).toThrow('10485760')
  })

  test.each([
    ['MAX_FILE_SIZE in the code', { maxFileSize: 20 * 1024 * 1024 }, 20_971_520],
    ['MAX_AUDIO_FILE_SIZE', { env: { MAX_AUDIO_FILE_SIZE: '5242880' } }, 5_242_880],
    ['nothing', { env: {} }, 10_485_760],
  ])('%s', async (_, options, bytes) => {
    const { parseCollection } = await import('../../media/index.ts')
    const { collections } = echoes(options)
    expect(parseCollection('echoes', collections?.echoes ?? {}).maxSize).toBe(bytes)
  })
})

test('the calls are in the API’s own documentation', async () => {
  const { json } = await server.call('/openapi.json')
  const { paths } = json as { paths: Record<string, object> }
  const own = Object.entries(paths).filter(([path]) => path.startsWith('/echoes'))
  expect(own.flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`)).sort()).toEqual([
    'delete /echoes/{echo_id}',
    'get /echoes',
    'get /echoes/health',
    'get /echoes/{echo_id}',
    'post /echoes',
    'post /echoes/init-upload',
    'post /echoes/upload-url',
  ])
})
