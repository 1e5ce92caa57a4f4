import { createHash, hash } from 'node:crypto'
import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey } from '../object-key.ts'
import type { CallOptions, DeleteResult } from '../object-store.ts'
import { emptySha256 } from './canonical.ts'
import type { S3Client } from './client.ts'
import { failureOf } from './errors.ts'
import { canStandInXml, escapeXml, readXml } from './xml.ts'

/** AWS, DeleteObjects: up to 1000 keys. */
const batchSize = 1000
const parallelBatches = 4
const parallelSingles = 16
const answerLimit = 4 * 1024 * 1024
/** S3 reports some keys of a batch as InternalError or SlowDown; these are asked again, so often in all. */
const rounds = 3

type Failed = DeleteResult['failed'][number]

export async function deleteObjects(
  client: S3Client,
  keys: readonly string[],
  options: CallOptions,
): Promise<DeleteResult> {
  for (const key of keys) checkObjectKey(key)
  const [only] = keys
  if (keys.length === 1 && only !== undefined) {
    await deleteOne(client, only, options)
    return { deleted: [only], failed: [] }
  }
  // What XML cannot carry goes alone.
  const batched = keys.filter(canStandInXml)
  const alone = keys.filter((key) => !canStandInXml(key))
  const batches = Array.from({ length: Math.ceil(batched.length / batchSize) }, (_, index) =>
    batched.slice(index * batchSize, (index + 1) * batchSize),
  )
  const failed: Failed[] = []
  let succeeded = 0
  let firstError: unknown
  const run = async (keys: readonly string[], work: () => Promise<readonly Failed[]>) => {
    try {
      failed.push(...(await work()))
      succeeded += 1
    } catch (thrown) {
      firstError ??= thrown
      const error = KeepsakeError.from(thrown)
      failed.push(...keys.map((key) => ({ key, code: error.code, message: error.message })))
    }
  }
  await each(parallelBatches, batches, (batch) => run(batch, () => deleteBatch(client, batch, options)))
  await each(parallelSingles, alone, (key) => run([key], () => deleteOne(client, key, options)))
  if (succeeded === 0 && firstError !== undefined) throw firstError
  const missed = new Set(failed.map(({ key }) => key))
  return { deleted: keys.filter((key) => !missed.has(key)), failed }
}

async function deleteOne(client: S3Client, key: string, { signal }: CallOptions): Promise<readonly Failed[]> {
  try {
    await client.sendForHeaders({ method: 'DELETE', key, payloadHash: emptySha256, signal })
  } catch (error) {
    if (!KeepsakeError.is(error, 'object_missing')) throw error
  }
  return []
}

async function deleteBatch(
  client: S3Client,
  keys: readonly string[],
  options: CallOptions,
): Promise<readonly Failed[]> {
  const settled: Failed[] = []
  let remaining = keys
  for (let round = 1; ; round += 1) {
    const failed = await requestBatch(client, remaining, options)
    const again = failed.filter(({ code }) => code === 'store_unavailable')
    settled.push(...failed.filter(({ code }) => code !== 'store_unavailable'))
    const goesOn = again.length > 0 && round < rounds && (await client.backOff(round, options.signal))
    if (!goesOn) return [...settled, ...again]
    remaining = again.map(({ key }) => key)
  }
}

async function requestBatch(client: S3Client, keys: readonly string[], { signal }: CallOptions): Promise<Failed[]> {
  const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join('')
  const content = Buffer.from(
    `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${objects}</Delete>`,
  )
  const asked = new Set(keys)
  return await client.sendForText(
    {
      method: 'POST',
      query: [['delete', '']],
      headers: {
        'content-type': 'application/xml',
        // S3 demands a checksum here; this is the one that every compatible store knows.
        'content-md5': createHash('md5').update(content).digest('base64'),
      },
      body: { content, size: content.length },
      payloadHash: hash('sha256', content, 'hex'),
      signal,
    },
    answerLimit,
    (text) => parseDeleteResult(client, text, asked),
  )
}

/** The status is 200 whatever happened to the keys: the body tells. */
function parseDeleteResult(client: S3Client, xml: string, asked: ReadonlySet<string>): Failed[] {
  const failed: Failed[] = []
  let root: string | undefined
  let error: { Key?: string; Code?: string; Message?: string } | undefined
  const unreadable = (cause?: unknown) =>
    new KeepsakeError('store_unavailable', 'The object store sent an answer to a delete that cannot be read.', {
      cause,
    })
  try {
    readXml(xml, {
      open(name) {
        root ??= name
        if (name === 'Error') error = {}
      },
      close(name, text) {
        if (error && (name === 'Key' || name === 'Code' || name === 'Message')) error[name] = text
        if (name !== 'Error' || !error || root !== 'DeleteResult') return
        const { Key: key = '', Code: s3Code = 'unknown', Message: detail } = error
        error = undefined
        if (s3Code === 'NoSuchKey') return
        if (!asked.has(key)) throw unreadable()
        const failure = failureOf(client.context({ method: 'DELETE', key }), s3Code, detail)
        failed.push({ key, code: failure.code, message: failure.message })
      },
    })
  } catch (cause) {
    throw cause instanceof KeepsakeError ? cause : unreadable(cause)
  }
  if (root === 'Error')
    throw failureOf(
      client.context({ method: 'POST', query: [['delete', '']] }),
      error?.Code ?? 'InternalError',
      error?.Message,
    )
  if (root !== 'DeleteResult') throw unreadable()
  return failed
}

/** Works through items with a number of workers. */
async function each<T>(workers: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: Math.min(workers, items.length) }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}
