/** A copy of the bucket in another store, as an app meets it: when the bucket is there, when it is gone, and after. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import { createKeepsake, type Keepsake } from '../../src/index.ts'
import { createS3Store } from '../../src/stores/index.ts'
import { runCli } from '../support/cli.ts'
import { freshDatabase } from '../support/fresh-database.ts'
import { gif } from '../support/http.ts'
import { until } from '../support/service.ts'

const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
const there = { accessKeyId: 'OTHERKEY', secretAccessKey: 'other-secret' }

/** A picture of its own, and its hash. */
function picture() {
  const bytes = Buffer.concat([gif, randomBytes(2000)])
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') }
}

describe.each([{ name: 'PGlite' }, { name: 'PostgreSQL' }])('on $name', ({ name }) => {
  const closers: (() => Promise<unknown>)[] = []
  let bucket: Awaited<ReturnType<typeof startBucket>>
  let copy: Awaited<ReturnType<typeof startBucket>>
  let keepsake: Keepsake
  let dir: string

  async function startBucket(folder: string, keys: typeof credentials) {
    const options = { dir: join(dir, folder), credentials: keys, buckets: ['media'], fsync: false }
    let server = await startEmbeddedS3(options)
    const { url, port, region } = server
    const store = createS3Store({ bucket: 'media', region, endpoint: url, credentials: keys })
    closers.push(
      () => store.close(),
      () => server.close(),
    )
    return {
      ...{ url, store },
      stop: () => server.close({ timeoutMs: 0 }),
      start: async () => {
        server = await startEmbeddedS3({ ...options, port })
      },
    }
  }

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keepsake-replica-'))
    closers.push(() => rm(dir, { recursive: true, force: true }))
    const database = name === 'PostgreSQL' ? await freshDatabase() : undefined
    if (database) closers.push(() => database.drop())
    bucket = await startBucket('here', credentials)
    copy = await startBucket('there', there)
    keepsake = await createKeepsake(
      {
        dataDir: join(dir, 'data'),
        collections: { media: { accept: ['image'] } },
        s3: { bucket: 'media', endpoint: bucket.url, credentials },
        replica: { bucket: 'media', endpoint: copy.url, credentials: there, deleteAfter: 0 },
        ...(database ? { databaseUrl: database.url } : {}),
      },
      { env: {} },
    )
  })
  afterAll(async () => {
    await keepsake?.close()
    for (const close of closers.reverse()) await close()
  })

  const keep = (bytes: Uint8Array) => keepsake.import('media', { source: { bytes }, owner: 'ada' })
  const copied = (count: number) =>
    until(
      () => keepsake.replica.status(),
      (status) => status?.copied === count && status.waiting === 0,
    )
  const read = async (id: string) => {
    const hash = createHash('sha256')
    for await (const chunk of (await keepsake.read(id)).body) hash.update(chunk)
    return hash.digest('hex')
  }
  const opens = async (url: string | null) => {
    const answer = await fetch(url ?? '')
    return [
      answer.status,
      createHash('sha256')
        .update(new Uint8Array(await answer.arrayBuffer()))
        .digest('hex'),
    ]
  }

  it('has what was stored, soon after', async () => {
    const { bytes, sha256 } = picture()
    const asset = await keep(bytes)
    expect(await copied(1)).toMatchObject({ copiedBytes: bytes.length, lag: 0, inUse: false })
    const head = await copy.store.head(asset.key ?? '')
    expect(head).toMatchObject({ size: bytes.length, contentType: 'image/gif', metadata: { asset: asset.id, sha256 } })
    expect(new URL((await keepsake.url(asset.id)).url).origin).toBe(bucket.url)
  })

  it('is read while the bucket is down, and no more when it is back', async () => {
    const { bytes, sha256 } = picture()
    const asset = await keep(bytes)
    await copied(2)
    await bucket.stop()
    expect(await read(asset.id)).toBe(sha256)
    // Nobody asks the bucket for a link; it is noticed all the same.
    const link = await until(
      () => keepsake.url(asset.id),
      ({ url }) => url.startsWith(copy.url),
    )
    expect(await opens(link.url)).toEqual([200, sha256])
    expect(await keepsake.get(asset.id)).toMatchObject({ urlSource: 'store', url: link.url, store: 'primary' })
    expect(await keepsake.replica.status()).toMatchObject({ inUse: true })
    expect(await opens((await keepsake.url(asset.id, { download: true })).url)).toEqual([200, sha256])
    await bucket.start()
    const back = await until(
      () => keepsake.url(asset.id),
      ({ url }) => url.startsWith(bucket.url),
    )
    expect(await opens(back.url)).toEqual([200, sha256])
  })

  it('gives back what the bucket lost, and never what was deleted', async () => {
    const [lost, deleted] = [picture(), picture()]
    const asset = await keep(lost.bytes)
    const gone = await keep(deleted.bytes)
    await copied(4)
    await bucket.store.delete([asset.key ?? ''])
    await keepsake.delete(gone.id)
    // Where the bucket has lost it, the copy is what is read.
    expect(await read(asset.id)).toBe(lost.sha256)
    await keepsake.verify()
    expect(await keepsake.get(asset.id)).toMatchObject({
      health: 'missing',
      url: expect.stringContaining(copy.url),
    })
    const restored = await keepsake.replica.restore()
    expect(restored).toMatchObject({ looked: 1, restored: 1, bytes: lost.bytes.length, failed: 0 })
    expect(await keepsake.get(asset.id)).toMatchObject({ health: 'ok', url: expect.stringContaining(bucket.url) })
    expect(await opens((await keepsake.url(asset.id)).url)).toEqual([200, lost.sha256])
    await until(
      async () => copy.store.head(gone.key ?? ''),
      (head) => head === undefined,
    )
    await keepsake.replica.restore({ all: true })
    expect(await bucket.store.head(gone.key ?? '')).toBeUndefined()
  })

  it('is in the report, in the metrics, and on the command line', async () => {
    const { replica } = await keepsake.report()
    expect(replica).toMatchObject({ name: `s3://media (${copy.url})`, waiting: 0 })
    expect(replica?.copied).toBeGreaterThan(0)
    expect((await keepsake.as({ role: 'user', owner: 'ada' }).report()).replica).toBeNull()

    const handle = keepsake.handler({ authorize: () => ({ service: true }) })
    const metrics = await handle(new Request('http://app.test/metrics'))
    expect(await metrics.text()).toMatch(new RegExp(`keepsake_replica_assets{state="copied"} ${replica?.copied}\\n`))
    const asUser = keepsake.handler({ authorize: () => ({ owner: 'ada' }) })
    expect((await asUser(new Request('http://app.test/v1/replica'))).status).toBe(403)

    const server = createServer(async (request, response) => {
      const body = request.method === 'POST' ? await text(request) : undefined
      const answer = await handle(
        new Request(`http://app.test${request.url}`, {
          method: request.method ?? 'GET',
          headers: { 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body }),
        }),
      )
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : 0
      const cli = (...args: string[]) => runCli([...args, '--url', `http://127.0.0.1:${port}`, '--api-key', 'any'])
      const status = await cli('replica', 'status')
      expect(status.stdout).toContain(`${replica?.copied} copied`)
      expect([status.code, status.stderr]).toEqual([0, ''])
      expect((await cli('replica', 'status', '--json')).json()).toMatchObject({ replica: { waiting: 0 } })
      expect((await cli('report')).stdout).toContain('Replica s3://media')
      const dry = await cli('replica', 'restore', '--all', '--dry-run')
      expect(dry.stdout).toMatch(/^would restore 0 of \d+ objects, 0 bytes; \d+ are there and right\n$/)
      expect((await cli('replica', 'restore', '--json')).json()).toMatchObject({ restored: 0, failures: [] })
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })
})
