/** "S3 Bucket Setup" and "Integration Testing" of the document: the two scripts, run as a reader runs them. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve as resolvePath } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command } from '../../../../test/support/command.ts'
import { credentials, type RecipeServer, startRecipe } from '../../../../test/support/recipe.ts'
import { type EmbeddedS3, startEmbeddedS3 } from '../../../embedded-s3/index.ts'
import { type HttpServer, serveHttp } from '../../../http/index.ts'
import { createLogger } from '../../../logging/index.ts'
import { echoes } from '../index.ts'
import { checkIntegration } from './check-integration.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-echoes-scripts-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

function script(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`
  return command(resolvePath(import.meta.dirname, name), args, { PATH, ...env }, { cwd: dir })
}

describe('scripts/setup', () => {
  let s3: EmbeddedS3
  const bucket = 'echoes-audio-dev-123456789012'
  beforeAll(async () => {
    s3 = await startEmbeddedS3({ dir: join(dir, 's3'), credentials, buckets: [], fsync: false })
    const { accessKeyId, secretAccessKey } = credentials
    const text = `[my-profile]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`
    await writeFile(join(dir, 'credentials'), text)
  })
  afterAll(() => s3?.close())

  it('makes the bucket private, encrypted, with CORS and lifecycle rules, by a profile; and writes the settings', async () => {
    const env = {
      S3_ENDPOINT: s3.url,
      S3_BUCKET_NAME: bucket,
      AWS_SHARED_CREDENTIALS_FILE: join(dir, 'credentials'),
      KEEPSAKE_DATA_DIR: join(dir, 'data'),
    }
    const first = await script('setup', ['dev', 'my-profile'], env)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    for (const step of ['bucket', 'publicAccessBlock', 'encryption', 'lifecycle', 'cors']) {
      expect(first.stdout).toContain(`done ${bucket} ${step}\n`)
    }
    expect(first.stdout).toContain('"http://localhost:3000"')
    expect(first.stdout).toContain('logging: not offered')
    expect(await readFile(join(dir, '.env.dev'), 'utf8')).toBe(
      `# S3 Configuration\nS3_BUCKET_NAME=${bucket}\nAWS_REGION=us-east-1\nAWS_PROFILE=my-profile\nS3_ENDPOINT=${s3.url}\n\n` +
        '# S3 Settings\nS3_PRESIGNED_URL_EXPIRATION=3600\nMAX_AUDIO_FILE_SIZE=10485760\n',
    )
    const again = await script('setup', ['dev', 'my-profile'], env)
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('Nothing to change.') })
  })

  it.each([[[]], [['staging']], [['dev', 'profile', 'more']]])('says how it is used, for %j', async (args) => {
    expect(await script('setup', args)).toMatchObject({ code: 2, stderr: expect.stringContaining('<dev|prod>') })
  })

  it('ends as the command does that failed', async () => {
    const env = { S3_ENDPOINT: 'http://127.0.0.1:1', S3_BUCKET_NAME: bucket, KEEPSAKE_DATA_DIR: join(dir, 'data') }
    const { code, stderr } = await script('setup', ['prod', 'no-such-profile'], {
      ...env,
      ECHOES_ORIGINS: 'https://echoes.app',
    })
    expect(code).toBeGreaterThan(0)
    expect(stderr).toContain("The profile 'no-such-profile' gives no credentials")
    expect(await readdir(dir)).not.toContain('.env.prod')
  })
})

it.each(['setup', 'check-integration'])('scripts/%s stands at the top of the repository, too', async (name) => {
  const top = join(import.meta.dirname, '../../../../scripts')
  const { code, stderr } = await script(join(top, name), [])
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^Usage: .+ </)])
})

describe('scripts/check-integration', () => {
  let server: RecipeServer
  let http: HttpServer
  beforeAll(async () => {
    const env = { S3_BUCKET_NAME: 'echoes-audio-dev-123456789012' }
    server = await startRecipe({ extension: echoes({ env }), env })
    const logger = createLogger({ level: 'fatal', output: { write: () => {} } })
    http = await serveHttp({ app: server.app, host: '127.0.0.1', port: 0, logger })
  })
  afterAll(async () => {
    await http?.close()
    await server?.stop()
  })

  it('passes what the document’s suite covers, leaves nothing behind, and saves its report', async () => {
    const token = await server.token('user123')
    const { code, stdout } = await script('check-integration', [http.url, token, '--save'])
    expect(stdout.match(/^\[\w+\] [^:]+(?:: (?:Inv|Mis)[^:]+)?/gm)).toEqual([
      '[PASS] API Health Check',
      '[PASS] Validation: Invalid file extension',
      '[PASS] Validation: Mismatched content type',
      '[PASS] Validation: Missing file extension',
      '[PASS] Presigned URL Generation (/init-upload)',
      '[PASS] Presigned URL Generation (/upload-url)',
      '[PASS] File Upload to S3',
      '[PASS] Echo Creation',
      '[PASS] Echo Retrieval',
      '[PASS] Echo Deletion',
    ])
    expect([code, stdout]).toEqual([0, expect.stringContaining('Success Rate: 100%')])
    const saved = (await readdir(dir)).find((name) => /^s3-test-report-\d+\.json$/.test(name)) ?? ''
    const report: unknown = JSON.parse(await readFile(join(dir, saved), 'utf8'))
    expect(report).toMatchObject({ summary: { total_tests: 10, passed: 10, failed: 0, success_rate: 100 } })
    expect(JSON.stringify(report)).not.toContain(token)
    expect([...(await server.keys('user123/')), ...(await server.keys('temp/'))]).toEqual([])
  })

  it('fails where something is wrong, and says what', async () => {
    const report = await server.withoutBucket(async () =>
      checkIntegration({ url: http.url, token: await server.token('user123') }),
    )
    const failed = report.results.filter(({ success }) => !success).map(({ test }) => test)
    expect(failed).toEqual([
      'API Health Check',
      'File Upload to S3',
      'Echo Creation',
      'Echo Retrieval',
      'Echo Deletion',
    ])
    const stranger = await checkIntegration({ url: http.url, token: 'wrong' })
    expect(stranger.summary).toMatchObject({ passed: 0 })
    expect(stranger.results[0]?.details).toBe(
      'HTTP 401 where 200 was expected. The API key or token is not known. [unauthenticated]',
    )
    const nobody = await checkIntegration({ url: 'http://127.0.0.1:1', token: 'wrong' })
    expect(nobody.results[0]).toMatchObject({ success: false, details: expect.stringMatching(/^fetch failed: ./) })
  })

  it.each([[[]], [['http://localhost:8000']], [['nowhere', 'token']], [['http://x', 't', '--other']]])(
    'says how it is used, for %j',
    async (args) => {
      const { code, stderr } = await script('check-integration', args)
      expect([code, stderr]).toEqual([2, expect.stringContaining('<url> <token> [--save]')])
    },
  )
})
