import { hash } from 'node:crypto'
import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'
import { callOptions, type ReconcileParts } from './parts.ts'

/** The object by which a bucket says whose it is. */
export const markerKey = '.keepsake/catalogue.json'
const clockKey = '.keepsake/clock'
const markerLimit = 64 * 1024

const markerSchema = z.looseObject({ keepsake: z.literal(1), catalogue: z.uuid() })

type MarkParts = Pick<ReconcileParts, 'catalogue' | 'store'>

/**
 * The id of the catalogue that a bucket belongs to, or undefined where it does not say.
 *
 * @throws {KeepsakeError} `upkeep_refused` where the mark is not what Keepsake writes.
 */
export async function readMark(store: ObjectStore, signal?: AbortSignal): Promise<string | undefined> {
  let text = ''
  try {
    const { body, size } = await store.get(markerKey, callOptions(signal))
    if (size > markerLimit) throw unreadable(store)
    const decoder = new TextDecoder()
    for await (const chunk of body) text += decoder.decode(chunk, { stream: true })
  } catch (error) {
    if (KeepsakeError.is(error, 'object_missing')) return undefined
    throw error
  }
  const parsed = markerSchema.safeParse(parseJson(text))
  if (!parsed.success) throw unreadable(store)
  return parsed.data.catalogue
}

/** Writes the mark where there is none, and answers the id of the catalogue that the bucket belongs to. */
export async function markBucket({ catalogue, store }: MarkParts, signal?: AbortSignal): Promise<string> {
  const id = await catalogue.installationId()
  const found = await readMark(store, signal)
  if (found !== undefined) return found
  const text = `${JSON.stringify({ keepsake: 1, catalogue: id, createdAt: new Date().toISOString() })}\n`
  try {
    await write(store, markerKey, text, true, signal)
    return id
  } catch (error) {
    if (!KeepsakeError.is(error, 'object_exists')) throw error
    // Another catalogue, or another process of ours, was faster.
    return (await readMark(store, signal)) ?? id
  }
}

/**
 * Marks a bucket when Keepsake first opens it; later openings cost one read of the catalogue.
 *
 * @returns The id of another catalogue where the bucket is that one's.
 */
export async function claimBucket({ catalogue, store }: MarkParts, signal?: AbortSignal): Promise<string | undefined> {
  if (await catalogue.hasMarked(store.name)) return undefined
  const [found, id] = [await markBucket({ catalogue, store }, signal), await catalogue.installationId()]
  if (found !== id) return found
  await catalogue.rememberMarked(store.name)
  return undefined
}

/** @throws {KeepsakeError} `upkeep_refused` where the bucket is another catalogue's. */
export async function requireMark(parts: MarkParts, signal?: AbortSignal): Promise<string> {
  const [found, id] = [await markBucket(parts, signal), await parts.catalogue.installationId()]
  if (found === id) return id
  throw foreignBucket(parts.store, found, id)
}

export function foreignBucket(store: ObjectStore, found: string, id: string): KeepsakeError {
  return new KeepsakeError(
    'upkeep_refused',
    `${store.name} belongs to the catalogue ${found}, and this one is ${id}. To this catalogue every object there would look ` +
      'like an orphan. Check DATABASE_URL and S3_BUCKET_NAME. Where the old catalogue is lost and this one takes its place, ' +
      `rebuild it from the bucket first ('keepsake rebuild'); where the bucket is truly this one's, delete ${markerKey} in it.`,
    { details: { brake: 'foreign', found, expected: id } },
  )
}

/** The time by the store's own clock: that of an object written now. Ages are told by it, whatever this machine thinks. */
export async function storeTime(store: ObjectStore, signal?: AbortSignal): Promise<Date> {
  await write(
    store,
    clockKey,
    'The time of this object is how Keepsake reads the clock of this store.\n',
    false,
    signal,
  )
  const head = await store.head(clockKey, callOptions(signal))
  if (head) return head.lastModified
  throw new KeepsakeError('store_unavailable', `${store.name} did not keep ${clockKey}, by which its clock is read.`)
}

async function write(
  store: ObjectStore,
  key: string,
  text: string,
  createOnly: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const body = Buffer.from(text)
  const sha256 = hash('sha256', body, 'hex')
  const contentType = key.endsWith('.json') ? 'application/json' : 'text/plain'
  await store.put({ key, body, size: body.length, sha256, contentType, createOnly, ...callOptions(signal) })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function unreadable(store: ObjectStore): KeepsakeError {
  return new KeepsakeError(
    'upkeep_refused',
    `${markerKey} in ${store.name} is not what Keepsake wrote there, so nobody can tell whose bucket it is. Restore it, or ` +
      'delete it where the bucket is certainly this catalogue’s.',
    { details: { brake: 'foreign' } },
  )
}
