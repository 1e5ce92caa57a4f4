/** The real server pointed at real parts by its environment alone, as `npm start` runs it. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedS3, startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import { createS3Store, type ObjectStore } from '../../src/stores/index.ts'
import { keepsakeCommand } from '../support/command.ts'
import { type FreshDatabase, freshDatabase } from '../support/fresh-database.ts'
import { freePort } from '../support/listen.ts'
import { ApiClient, open, readProblem } from '../support/service.ts'
import { Serving } from '../support/serving.ts'
import { type SourceServer, startSourceServer } from '../support/source-server.ts'

const bucket = 'the-media-bucket'
const credentials = { accessKeyId: 'AKIDOFTHETESTS', secretAccessKey: 'SecretOfTheTests/0123456789+abcdefghijk' }
const apiKey = 'api-key-of-the-tests-0123456789'
const jwtSecret = 'jwt-secret-of-the-tests-0123456789-abcdef'

let folder: string
let s3: EmbeddedS3
let store: ObjectStore
let database: FreshDatabase
let source: SourceServer
let environment: Record<string, string>
let url: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keepsake-e2e-'))
  s3 = await startEmbeddedS3({
    dir: join(folder, 's3'),
    credentials,
    buckets: [bucket],
    fsync: false,
    region: 'eu-west-3',
  })
  store = createS3Store({ bucket, region: s3.region, endpoint: s3.url, credentials })
  database = await freshDatabase()
  source = await startSourceServer()
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  environment = {
    PORT: String(port),
    KEEPSAKE_DATA_DIR: join(folder, 'data'),
    KEEPSAKE_API_KEY: apiKey,
    KEEPSAKE_JWT_SECRET: jwtSecret,
    KEEPSAKE_IMPORT_ALLOW_HOSTS: source.host,
    DATABASE_URL: database.url,
    S3_ENDPOINT: s3.url,
    S3_BUCKET_NAME: bucket,
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    S3_PRESIGNED_URL_EXPIRATION: '600',
  }
})
afterAll(async () => {
  await source.close()
  await store.close()
  await s3.close()
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

async function objects(): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list()) if (!key.startsWith('.keepsake/')) keys.push(key)
  return keys
}

const api = () => new ApiClient(url, { authorization: `Bearer ${apiKey}` })

describe('the server', () => {
  let serving: Serving | undefined
  let logs = 0
  const logFile = () => join(folder, `log-${logs}`)
  function start(changes: Record<string, string> = {}): Serving {
    logs += 1
    serving = Serving.start({ environment: { ...environment, ...changes }, url, cwd: folder, log: logFile() })
    return serving
  }
  afterEach(async () => {
    await serving?.kill()
  })

  it('keeps media in the bucket and the database that its environment names', async () => {
    await start().ready()
    const asset = await api().keep({ url: source.url('/picture.png') }, { owner: 'ada' })
    expect(await objects()).toEqual([asset.key])
    expect((await store.head(asset.key ?? ''))?.metadata.sha256).toBe(source.sha256)
    const rows = await database.admin('select id, state from keepsake.assets')
    expect(rows).toEqual([{ id: asset.id, state: 'stored' }])

    const link = new URL(asset.url ?? '')
    expect(link.origin).toBe(s3.url)
    expect(link.searchParams.get('X-Amz-Expires')).toBe('600')
    expect((await open(link.href)).bytes).toEqual(source.png)

    // A user by a token of the environment's secret.
    const token = new SignJWT().setProtectedHeader({ alg: 'HS256' }).setSubject('ada').setAudience('authenticated')
    const jwt = await token.setExpirationTime('1h').sign(new TextEncoder().encode(jwtSecret))
    const ada = new ApiClient(url, { authorization: `Bearer ${jwt}` })
    expect((await ada.list()).assets.map(({ id }) => id)).toEqual([asset.id])

    // A command beside it, with the same environment, and one that asks it by its address.
    const beside = await keepsakeCommand(['ls', '--json'], environment)
    expect([beside.code, beside.stderr]).toEqual([0, ''])
    expect(beside.stdout).toContain(asset.id)
    const asked = await keepsakeCommand(['show', asset.id], { KEEPSAKE_URL: url, KEEPSAKE_API_KEY: apiKey })
    expect([asked.code, asked.stderr]).toEqual([0, ''])

    // Neither the database nor the media are in the folder here.
    expect((await readdir(join(folder, 'data'))).toSorted()).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/catalogue|objects/)]),
    )
    expect(await serving?.stop()).toBe(0)
    const log = await readFile(logFile(), 'utf8')
    for (const word of [credentials.secretAccessKey, apiKey, jwtSecret, new URL(database.url).password]) {
      expect(log).not.toContain(word)
    }
  })

  it.each([
    ['a wrong secret', { AWS_SECRET_ACCESS_KEY: 'wrong' }],
    ['a wrong access key', { AWS_ACCESS_KEY_ID: 'WRONG' }],
    ['a bucket that is not there', { S3_BUCKET_NAME: 'another-bucket' }],
  ])('says with %s that the bucket is not ready, and keeps nothing', async (_, changes) => {
    const before = await objects()
    start(changes)
    const readiness = await untilAnswered('/readyz')
    expect(readiness.status).toBe(503)
    expect(await readiness.json()).toEqual({
      ready: false,
      status: 'down',
      parts: [
        { name: 'catalogue', ok: true },
        { name: 'primary', ok: false, code: 'store_denied' },
      ],
    })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    const answer = await api().import({ base64: source.png.toString('base64') }, { owner: 'grace' })
    const problem = await readProblem(answer)
    expect(problem).toMatchObject({ status: 502, code: 'store_denied' })
    expect((await api().list('?owner=grace&state=stored')).assets).toEqual([])
    expect(await objects()).toEqual(before)
    const log = await readFile(logFile(), 'utf8')
    expect(log).toContain('primary')
    expect(log).not.toContain(credentials.secretAccessKey)
    await serving?.stop()
  })

  /** The first answer of a server that is starting. */
  async function untilAnswered(path: string): Promise<Response> {
    for (;;) {
      const response = await fetch(url + path).catch(() => undefined)
      if (response) return response
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
})

describe.concurrent('a setting that is wrong stops the start', () => {
  it.each([
    ['PORT', { PORT: 'eighty' }, 'eighty'],
    ['DATABASE_URL', { DATABASE_URL: 'mysql://ada:hunter2@db/x' }, 'postgres://'],
    ['S3_PRESIGNED_URL_EXPIRATION', { S3_PRESIGNED_URL_EXPIRATION: '7200' }, '3600'],
    ['KEEPSAKE_IMPORT_ALLOW_HOSTS', { KEEPSAKE_IMPORT_ALLOW_HOSTS: 'http://media.internal/' }, 'without a scheme'],
    ['S3_BUCKET_NAME', { S3_BUCKET_NAME: '' }, 'Name the bucket'],
    ['AWS_SECRET_ACCESS_KEY', { AWS_SECRET_ACCESS_KEY: '' }, 'Set both'],
    ['KEEPSAKE_JWKS_URL', { KEEPSAKE_JWKS_URL: 'https://id.example/keys' }, 'never mixed'],
  ])('%s', async (name, changes, says) => {
    const ended = await keepsakeCommand(['serve'], { ...environment, ...changes }, { cwd: folder })
    expect(ended.code).toBe(1)
    expect(ended.stdout).toBe('')
    expect(ended.stderr).toContain(name)
    expect(ended.stderr).toContain(says)
    expect(ended.stderr).toContain('[invalid_setting]')
    expect(ended.stderr).not.toMatch(/hunter2|\n\s+at /)
  })

  it('all of them at once', async () => {
    const changes = { PORT: '-1', DATABASE_URL: 'db', S3_ENDPOINT: 's3.example', S3_PRESIGNED_URL_EXPIRATION: '0' }
    const { code, stderr } = await keepsakeCommand(['serve', '--json'], { ...environment, ...changes }, { cwd: folder })
    expect(code).toBe(1)
    const problem = JSON.parse(stderr)
    expect(problem.code).toBe('invalid_setting')
    for (const name of Object.keys(changes)) expect(problem.detail).toContain(name)
  })

  it('and so does a database that is not there, which is told without its password', async () => {
    const nowhere = `postgres://ada:hunter2@127.0.0.1:${await freePort()}/media`
    const { code, stderr } = await keepsakeCommand(
      ['serve'],
      { ...environment, DATABASE_URL: nowhere },
      { cwd: folder },
    )
    expect(code).toBe(6)
    expect(stderr).toContain('[catalogue_unavailable]')
    expect(stderr).not.toContain('hunter2')
  })
})
