/** Bucket and catalogue are compared and put right by the command line, over HTTP, on a real bucket. */
import { hash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { newAssetId } from '../../src/media/index.ts'
import { runCli } from '../support/cli.ts'
import { apiKey, gif, startTestServer, type TestServer } from '../support/http.ts'
import { readProblem } from '../support/service.ts'

const secret = 'a-secret-of-at-least-thirty-two-bytes'
let server: TestServer
let folder: string
beforeAll(async () => {
  server = await startTestServer({
    auth: { apiKeys: [apiKey], jwt: { keys: { secret }, audience: 'authenticated' } },
    collections: { generations: { key: 'media/{owner}/{id}.{ext}' } },
  })
  folder = await mkdtemp(join(tmpdir(), 'keepsake-reconcile-e2e-'))
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

const run = (...args: string[]) =>
  runCli(['reconcile', ...args], { env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey } })

async function put(key: string, text: string, metadata: Record<string, string> = {}) {
  const body = Buffer.from(text)
  const sha256 = hash('sha256', body, 'hex')
  await server.parts.bucket.put({ key, body, size: body.length, sha256, contentType: 'image/gif', metadata })
}

const lost = () => ({ asset: newAssetId(), owner: 'ada', collection: 'generations' })

async function keys(): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of server.parts.bucket.list()) if (!key.startsWith('.keepsake/')) found.push(key)
  return found
}

describe('keepsake reconcile', () => {
  let manifest: string
  let asset: { id: string; key: string }
  beforeEach(async () => {
    for (const key of await keys()) await server.parts.bucket.delete([key])
    await server.parts.database.service.query('delete from keepsake.assets; delete from keepsake.quarantine')
    manifest = join(folder, `${newAssetId()}.ndjson`)
    const source = { base64: gif.toString('base64') }
    const response = await server.call('/v1/collections/generations/imports', { body: { source, owner: 'ada' } })
    asset = z.object({ id: z.string(), key: z.string() }).parse(await response.json())
  })

  it('says that they agree', async () => {
    const result = await run('--out', manifest)
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toMatch(/Compared 1 objects .* with 1 rows[\s\S]*agree[\s\S]*Nothing was changed/)
  })

  it('finds, moves, and brings back', async () => {
    await put('media/ada/lost.gif', 'lost', lost())
    await put('notes.txt', 'somebody else’s')
    const scanned = await run('--out', manifest)
    expect(scanned).toMatchObject({ code: 0, stderr: '' })
    expect(scanned.stdout).toMatch(/1 {2}orphan .*\n.*1 {2}unknown [\s\S]*apply [\s\S]*seen again/)
    const before = await keys()
    expect((await readdir(folder)).some((name) => name.endsWith('.part'))).toBe(false)

    // Seen once, and a third of what is there: both keep it where it is.
    const braked = await run('apply', manifest, '--yes')
    expect(braked).toMatchObject({ code: 5, stderr: expect.stringMatching(/--expect 1.*upkeep_refused/s) })
    const early = await run('apply', manifest, '--yes', '--expect', '1')
    expect(early).toMatchObject({ code: 0, stderr: expect.stringMatching(/skipped .*too young/) })
    expect(await keys()).toEqual(before)

    const applied = await run('apply', manifest, '--yes', '--expect', '1', '--apart', '0', '--min-age', '0')
    expect(applied).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 quarantined\.\n.*restore/) })
    expect(await keys()).toEqual([asset.key, 'notes.txt', 'quarantine/media/ada/lost.gif'].sort())

    const restored = await run('restore', manifest)
    expect(restored).toMatchObject({ code: 0, stdout: '1 restored.\n' })
    expect(await keys()).toEqual(before)
    expect(await run('restore', 'media/ada/lost.gif')).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('it is not in quarantine'),
    })
  })

  it('marks a lost asset, and tells as JSON', async () => {
    await server.parts.bucket.delete([asset.key])
    const scanned = await run('--json', '--out', manifest)
    expect(scanned.json()).toMatchObject({ objects: 0, rows: 1, findings: { missing: { count: 1 } }, manifest })
    const applied = await run('apply', manifest, '--yes', '--json')
    expect(applied.json()).toMatchObject({ outcomes: { marked: 1 } })
    expect(await (await server.call(`/v1/assets/${asset.id}`)).json()).toMatchObject({
      state: 'stored',
      health: 'missing',
    })
  })

  it('compares with an inventory, whatever order its files are in', async () => {
    await put('media/ada/ü+ (1).gif', 'lost', lost())
    await put('media/ada/zz.gif', 'lost too', lost())
    const line = async (key: string) => {
      const head = await server.parts.bucket.head(key)
      const encoded = encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/')
      return `"b","${encoded}","${head?.size ?? 1}","2026-11-20T00:00:00.000Z","0a"\n`
    }
    const dir = await mkdtemp(join(folder, 'inventory-'))
    await writeFile(join(dir, 'one.csv.gz'), gzipSync(await line('media/ada/zz.gif')))
    // One that was deleted since the inventory was made is nothing.
    await writeFile(
      join(dir, 'two.csv.gz'),
      gzipSync((await line(asset.key)) + (await line('media/ada/ü+ (1).gif')) + (await line('media/ada/gone.gif'))),
    )
    const files = [{ key: 'inventory/data/one.csv.gz' }, { key: 'inventory/data/two.csv.gz' }]
    const fileSchema = 'Bucket, Key, Size, LastModifiedDate, ETag'
    const creationTimestamp = `${Date.now() + 60_000}`
    const json = join(dir, 'manifest.json')
    await writeFile(json, JSON.stringify({ fileFormat: 'CSV', fileSchema, creationTimestamp, files }))
    const scanned = await run('--inventory', json, '--json', '--out', manifest)
    expect(scanned.json()).toMatchObject({
      objects: 4,
      rows: 1,
      source: 'inventory',
      findings: { orphan: { count: 2 } },
    })
    expect(await readFile(manifest, 'utf8')).toContain('media/ada/ü+ (1).gif')
    const refused = async (file: string, why: RegExp) =>
      expect(await run('--inventory', file)).toMatchObject({ code: 5, stderr: expect.stringMatching(why) })
    await writeFile(json, JSON.stringify({ fileFormat: 'CSV', fileSchema, sourceBucket: 'another', files }))
    await refused(json, /inventory is of the bucket 'another', and this is s3:\/\/test-bucket/)
    const whole = gzipSync((await line(asset.key)).repeat(1000))
    await writeFile(join(dir, 'cut.csv.gz'), whole.subarray(0, whole.length / 2))
    await refused(join(dir, 'cut.csv.gz'), /cut\.csv\.gz is no whole gzip file/)
    await writeFile(join(dir, 'bad.csv'), 'Key,Size\na,b\n')
    expect(await run('--inventory', join(dir, 'bad.csv'))).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('without a proper Key'),
    })
  })

  it('refuses what is no manifest, what nobody confirmed, and a prefix without a slash', async () => {
    await writeFile(manifest, 'hello\n')
    expect(await run('apply', manifest, '--yes')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('not a manifest'),
    })
    expect(await run('apply', join(folder, 'none'), '--yes')).toMatchObject({ code: 2 })
    await run('--out', manifest)
    expect(await run('apply', manifest)).toMatchObject({ code: 2, stderr: expect.stringContaining('Add --yes') })
    expect(await run('restore')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('a key, a manifest, or --all'),
    })
    expect(await run('--prefix', 'media')).toMatchObject({ code: 5, stderr: expect.stringContaining("Write 'media/'") })
    expect(await run('apply', manifest, '--yes', '--apart', 'soon')).toMatchObject({ code: 2 })
  })
})

describe('POST /v1/reconcile', () => {
  it.each(['', '/apply', '/restore'])('%s is for an API key', async (path) => {
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('ada')
      .setAudience('authenticated')
      .setExpirationTime('5m')
      .sign(Buffer.from(secret))
    const response = await server.call(`/v1/reconcile${path}`, {
      body: path === '/restore' ? { all: true } : '',
      headers: { authorization: `Bearer ${token}` },
    })
    expect(await readProblem(response)).toMatchObject({ status: 403, code: 'forbidden' })
  })

  it('refuses a body that is no inventory, and one that is no manifest', async () => {
    const call = async (path: string) => {
      const headers = { 'content-type': 'application/x-ndjson' }
      const response = await server.call(path, { body: { no: 1 }, headers })
      return (await response.text()).trim().split('\n').at(-1) ?? ''
    }
    const inventory = await call(`/v1/reconcile?inventoryAt=${new Date().toISOString()}`)
    expect(JSON.parse(inventory)).toMatchObject({ type: 'problem', code: 'invalid_request' })
    expect(JSON.parse(await call('/v1/reconcile/apply'))).toMatchObject({ type: 'problem', code: 'invalid_request' })
  })
})
