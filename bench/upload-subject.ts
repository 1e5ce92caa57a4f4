import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { z } from 'zod'
import { createKeepsake, type UploadTicket, type Verbs } from '../src/index.ts'
import { bucket, credentials, region } from './bucket.ts'
import { serveParent } from './child.ts'

/** Direct uploads by the library, in a process of its own. What goes to the database is counted at its driver. */
const messageSchema = z.object({
  work: z.enum(['ticket', 'upload']),
  actor: z.enum(['service', 'user']),
  count: z.int(),
  concurrency: z.int(),
  size: z.int(),
})

const sent = { statements: 0, roundTrips: 0, transactions: 0 }
const { query } = pg.Client.prototype
pg.Client.prototype.query = new Proxy(query, {
  apply(target, self, given) {
    const config: unknown = given[0]
    const text = typeof config === 'string' ? config : Reflect.get(Object(config), 'text')
    // The queue has connections of its own; its upkeep goes on beside and is not an upload's.
    if (typeof text === 'string' && !/pgboss|pg_notify|advisory/i.test(text)) {
      // A prepared statement is one; only what opens a user's transaction is a script.
      sent.statements += /^begin/i.test(text) ? text.split(';').length : 1
      sent.roundTrips += 1
      if (/^begin/i.test(text)) sent.transactions += 1
    }
    return Reflect.apply(target, self, given)
  },
})

const dataDir = await mkdtemp(join(tmpdir(), 'keepsake-bench-'))
const endpoint = process.env.BENCH_S3_ENDPOINT ?? ''
const keepsake = await createKeepsake({ dataDir, s3: { bucket, region, endpoint, credentials } })

async function send(upload: UploadTicket | null, body: Uint8Array<ArrayBuffer>): Promise<void> {
  if (upload?.strategy !== 'put') throw new Error('The ticket is not for one PUT.')
  const response = await fetch(upload.url, { method: 'PUT', headers: upload.headers, body })
  if (!response.ok) throw new Error(`The store answered ${response.status}.`)
  await response.arrayBuffer()
}

async function once(verbs: Verbs, work: 'ticket' | 'upload', body: Uint8Array<ArrayBuffer>, sha256: string) {
  const { asset, upload } = await verbs.upload('generations', {
    contentType: 'image/gif',
    size: body.length,
    sha256,
    attributes: { wallet: '0xabc', agent: 'a', model: 'flux' },
  })
  if (work === 'ticket') return
  await send(upload, body)
  const { state } = await verbs.completeUpload(asset.id)
  if (state !== 'stored') throw new Error(`The asset is ${state}.`)
}

serveParent(
  async (message) => {
    const { work, actor, count, concurrency, size } = messageSchema.parse(message)
    const verbs = actor === 'service' ? keepsake : keepsake.as({ role: 'user', owner: 'bench' })
    const body = new Uint8Array(size).fill(7)
    body.set(Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'))
    const sha256 = createHash('sha256').update(body).digest('hex')
    const before = { ...sent }
    const turns = Array.from({ length: count }, (_, index) => index).values()
    const worker = async () => {
      for (const _ of turns) await once(verbs, work, body, sha256)
    }
    const cpu = process.cpuUsage()
    const start = performance.now()
    await Promise.all(Array.from({ length: concurrency }, worker))
    const seconds = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(cpu)
    return {
      seconds,
      cpuMicros: user + system,
      statements: (sent.statements - before.statements) / count,
      roundTrips: (sent.roundTrips - before.roundTrips) / count,
      transactions: (sent.transactions - before.transactions) / count,
    }
  },
  async () => {
    await keepsake.close()
    await rm(dataDir, { recursive: true, force: true })
  },
)
