import type { AssetRecord } from '../../media/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { ObjectContent, ObjectStore } from '../../stores/index.ts'
import { factsFromObject, objectMetadata } from '../object-metadata.ts'
import type { Examined } from './examine.ts'
import { open } from './ticket.ts'

/*
 * A plain upload's link binds its client to little, and lives on after the bytes were verified. So it leads to a key of
 * its own, under `temp/`, which nothing reads but the verification: what it found is copied, by its ETag, to the asset's
 * key, where nobody but this server writes. Only then is it stored.
 */

/** Where the client of an attempt puts its bytes. Never used again, as the asset's own key is not. */
export function inboxKey({ id, attempt }: Pick<AssetRecord, 'id' | 'attempt'>, extension: string): string {
  return `temp/uploads/${id}${attempt > 1 ? `-${attempt}` : ''}.${extension}`
}

/**
 * Copies what was examined to the asset's key. Where somebody was faster, that is what is there, whatever came into the
 * inbox since.
 *
 * @throws `object_missing` where the inbox holds something else by now, or nothing; what the store throws.
 */
export async function moveIn(
  store: ObjectStore,
  record: AssetRecord,
  content: ObjectContent,
  { examined, cacheControl }: { readonly examined: Examined; readonly cacheControl: string },
  signal: AbortSignal,
): Promise<Examined> {
  const { contentType, ...facts } = examined
  try {
    await store.copy({
      source: content.key,
      key: open(record).key,
      sourceEtag: content.etag,
      size: content.size,
      settings: { contentType, cacheControl, metadata: objectMetadata(record, facts) },
      createOnly: true,
      signal,
    })
    return examined
  } catch (error) {
    const moved = KeepsakeError.is(error, 'object_exists') ? await movedIn(store, record, signal) : undefined
    if (moved === undefined) throw error
    return moved
  }
}

/** What a verification before this one has moved to the asset's key. */
export async function movedIn(
  store: ObjectStore,
  record: AssetRecord,
  signal: AbortSignal,
): Promise<Examined | undefined> {
  const head = await store.head(open(record).key, { signal })
  const facts = head && factsFromObject(record, head)
  return facts && head ? { ...facts, contentType: head.contentType } : undefined
}
