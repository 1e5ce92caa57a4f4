import type { Actor, Catalogue, StoredContent } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import type { Jobs } from '../jobs/index.ts'
import {
  type AssetRecord,
  attachmentOnly,
  type Collection,
  extensionOf,
  KeepsakeError,
  keyKindOf,
  kindOf,
  type StorePlace,
} from '../media/index.ts'
import { isStoreFailure, type ObjectBody, type ObjectSettings, type ObjectStore } from '../stores/index.ts'
import { backoff } from './backoff.ts'
import { type ContentFacts, factsFromObject, objectMetadata } from './object-metadata.ts'

/** Bytes that were collected and looked at, ready to be put. */
export type CollectedContent = ContentFacts & { readonly contentType: string; readonly body: ObjectBody }

export type KeepParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  /** The store, as the row is to name it. */
  readonly place: StorePlace
  /** Another store would take the bytes, so a failing one is not tried again beyond its own retries. */
  readonly hasFallback: boolean
  readonly clock: Clock
  readonly jobs: Jobs
  /** Seconds. */
  readonly lease: number
}

/** What an object tells whoever opens it, beside its type. */
export type Served = { readonly cacheControl: string } & Pick<ObjectSettings, 'contentDisposition'>

/**
 * A key has one content, ever; whoever may read it may keep it. A cache that many share asks again after a day, so that
 * what was deleted is gone from it by then. A collection that is declared no more is nobody's to read. What may only be
 * saved says so itself, for whoever comes by a link that does not.
 */
export function servedAs(collection: Pick<Collection, 'access'> | undefined, contentType: string): Served {
  const cacheControl =
    collection?.access === 'public'
      ? 'public, max-age=31536000, s-maxage=86400, immutable'
      : 'private, max-age=31536000, immutable'
  return { cacheControl, ...(attachmentOnly(contentType) ? { contentDisposition: 'attachment' } : {}) }
}

const tries = 4
const pause = { base: 0.1, cap: 2 }
/** Milliseconds after which no further put is begun: the store hangs, and each one waits for its own deadline. */
const longestPutting = 30_000

/**
 * Key, put, confirm: how collected bytes become a stored asset. The key is in the row before a byte is in the bucket,
 * so that whatever happens in between, the row says where to look.
 *
 * Answers the row as it is afterwards: stored by this attempt, or whatever a newer attempt or a delete made of it;
 * undefined where it is gone.
 *
 * @throws `quota_exceeded`, `store_unavailable`, `store_denied`, `timeout`, `catalogue_unavailable`
 */
export async function keep(
  parts: KeepParts,
  record: AssetRecord,
  collection: Collection,
  content: CollectedContent,
  actor: Actor,
  signal: AbortSignal,
): Promise<AssetRecord | undefined> {
  const { contentType } = content
  const kind = kindOf(contentType)
  const key = collection.key.render({
    id: record.id,
    attempt: record.attempt,
    owner: record.owner,
    collection: collection.name,
    kind: keyKindOf(contentType),
    extension: extensionOf(contentType),
    createdAt: record.createdAt,
    attributes: record.attributes,
  })
  const keyed = await parts.catalogue.assignKey(record.id, record.attempt, {
    key,
    store: parts.place,
    kind,
    contentType,
    lease: parts.lease,
    reservedBytes: content.size,
    quota: collection.quota,
  })
  if (keyed === undefined) return parts.catalogue.get(record.id, { role: 'system' })
  await put(parts, keyed, key, content, servedAs(collection, contentType), signal)
  return confirm(parts, keyed, content, collection, actor)
}

/**
 * Puts create-only. After an outcome that is not known, and where the key turns out to be taken, the object itself is
 * asked: when it is this asset with this hash, an earlier try of ours arrived.
 */
async function put(
  { store, clock, hasFallback }: KeepParts,
  record: AssetRecord,
  key: string,
  content: CollectedContent,
  served: Served,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + longestPutting
  for (let failures = 0; ; failures += 1) {
    try {
      await store.put({
        key,
        body: content.body,
        size: content.size,
        sha256: content.sha256,
        contentType: content.contentType,
        metadata: objectMetadata(record, content),
        ...served,
        signal,
      })
      return
    } catch (error) {
      const problem = KeepsakeError.from(error)
      const last = failures + 1 >= tries || signal.aborted || performance.now() >= until
      if (problem.code !== 'object_exists' && !problem.retryable && problem.code !== 'content_mismatch') throw problem
      if (hasFallback && isStoreFailure(problem)) throw problem
      const head = await store.head(key, { signal }).catch(() => undefined)
      if (head !== undefined) {
        if (factsFromObject(record, head)?.sha256 === content.sha256) return
        throw new KeepsakeError(
          'store_unavailable',
          'The key is taken by another object. A new attempt takes a new key.',
        )
      }
      if (last) throw problem
    }
    await clock.sleep(backoff(failures, pause), signal)
  }
}

/** What a collection says of an asset that is stored. */
type Policy = Pick<Collection, 'keep' | 'replaceBy'>

/**
 * Confirms, and acknowledges only what the row says. After an error the row is read again; the object is never removed,
 * since the confirmation may have happened.
 */
export async function confirm(
  parts: Pick<KeepParts, 'catalogue' | 'clock' | 'jobs'>,
  record: AssetRecord,
  facts: ContentFacts & Pick<StoredContent, 'type' | 'attributes' | 'inbox'>,
  policy: Policy | undefined,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  const { catalogue, clock } = parts
  const { size, sha256, width, height, duration, type, attributes, inbox } = facts
  const further = { ...(type ? { type } : {}), ...(attributes ? { attributes } : {}), ...(inbox ? { inbox } : {}) }
  const content = { size, sha256, width, height, duration, keep: policy?.keep ?? null, ...further }
  for (let failures = 0; ; failures += 1) {
    try {
      const stored = await confirmOnce(parts, record, content, policy, actor)
      return stored ?? (await catalogue.get(record.id, { role: 'system' }))
    } catch (error) {
      if (failures + 1 >= tries || !KeepsakeError.is(error, 'catalogue_unavailable', 'timeout')) throw error
    }
    await clock.sleep(backoff(failures, pause))
  }
}

/** Where the asset takes another one's place, that one is on its way out by the same transaction. */
async function confirmOnce(
  { catalogue, jobs }: Pick<KeepParts, 'catalogue' | 'jobs'>,
  { id, attempt }: AssetRecord,
  content: StoredContent,
  policy: Policy | undefined,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  const replaceBy = policy?.replaceBy ?? null
  if (replaceBy === null) return catalogue.confirm(id, attempt, content, actor)
  const { asset, deleting } = await catalogue.confirmReplacing(id, attempt, content, replaceBy, actor)
  await Promise.all(deleting.map((replaced) => jobs.nudge(replaced)))
  return asset
}
