import type { Actor, Catalogue, StoredContent } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import {
  type AssetRecord,
  type Collection,
  extensionOf,
  KeepsakeError,
  kindOf,
  type StoreName,
} from '../media/index.ts'
import type { ObjectBody, ObjectStore } from '../stores/index.ts'
import { backoff } from './backoff.ts'
import { type ContentFacts, factsFromObject, objectMetadata } from './object-metadata.ts'

/** Bytes that were collected and looked at, ready to be put. */
export type CollectedContent = ContentFacts & { readonly contentType: string; readonly body: ObjectBody }

export type KeepParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly storeName: StoreName
  readonly clock: Clock
  /** Seconds. */
  readonly lease: number
}

/** A key has one content, ever; whoever may read it may keep it. */
export const cacheControl = 'private, max-age=31536000, immutable'

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
    kind,
    extension: extensionOf(contentType),
    createdAt: record.createdAt,
    attributes: record.attributes,
  })
  const keyed = await parts.catalogue.assignKey(record.id, record.attempt, {
    key,
    store: parts.storeName,
    kind,
    contentType,
    lease: parts.lease,
    reservedBytes: content.size,
    quota: collection.quota,
  })
  if (keyed === undefined) return parts.catalogue.get(record.id, { role: 'system' })
  await put(parts, keyed, key, content, signal)
  return confirm(parts, keyed, content, collection.keep, actor)
}

/**
 * Puts create-only. After an outcome that is not known, and where the key turns out to be taken, the object itself is
 * asked: when it is this asset with this hash, an earlier try of ours arrived.
 */
async function put(
  { store, clock }: KeepParts,
  record: AssetRecord,
  key: string,
  content: CollectedContent,
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
        cacheControl,
        signal,
      })
      return
    } catch (error) {
      const problem = KeepsakeError.from(error)
      const last = failures + 1 >= tries || signal.aborted || performance.now() >= until
      if (problem.code !== 'object_exists' && !problem.retryable && problem.code !== 'content_mismatch') throw problem
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

/**
 * Confirms, and acknowledges only what the row says. After an error the row is read again; the object is never removed,
 * since the confirmation may have happened.
 */
export async function confirm(
  { catalogue, clock }: Pick<KeepParts, 'catalogue' | 'clock'>,
  record: AssetRecord,
  facts: ContentFacts & Pick<StoredContent, 'type' | 'attributes' | 'inbox'>,
  keepFor: number | null,
  actor: Actor,
): Promise<AssetRecord | undefined> {
  const { size, sha256, width, height, duration, type, attributes, inbox } = facts
  const further = { ...(type ? { type } : {}), ...(attributes ? { attributes } : {}), ...(inbox ? { inbox } : {}) }
  for (let failures = 0; ; failures += 1) {
    try {
      const stored = await catalogue.confirm(
        record.id,
        record.attempt,
        { size, sha256, width, height, duration, keep: keepFor, ...further },
        actor,
      )
      return stored ?? (await catalogue.get(record.id, { role: 'system' }))
    } catch (error) {
      if (failures + 1 >= tries || !KeepsakeError.is(error, 'catalogue_unavailable', 'timeout')) throw error
    }
    await clock.sleep(backoff(failures, pause))
  }
}
