import type { CopiedFile } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { compareObjectKeys, type ListedObject, type ObjectStore } from '../../stores/index.ts'
import type { MoveRun } from './run.ts'

type Wanted = { readonly path: string; readonly key: string; readonly size: number; readonly etag: string }

/** Files for which a list is not worth its request. */
const few = 8
/** A page of the list with less than one of ours in so many: they lie far apart, and are cheaper asked for one by one. */
const sparse = 16

/**
 * The paths of those files whose object is in the bucket's list with the size and the ETag that its put was answered
 * with. An ETag is of one content (RFC 9110, section 8.8.3), and lists of S3 are as the last write left them (AWS, "Amazon
 * S3 data consistency model"). Whatever is not proven here, for any reason, is just not among the answers.
 */
export async function listedAsPut(run: MoveRun, files: readonly CopiedFile[]): Promise<ReadonlySet<string>> {
  const wanted = files
    .flatMap(({ path, key, size, etag }): Wanted[] =>
      key === null || etag === null ? [] : [{ path, key, size, etag }],
    )
    .sort((a, b) => compareObjectKeys(a.key, b.key))
  const proven = new Set<string>()
  while (wanted.length > 0) {
    const first = wanted[0]
    if (first === undefined || wanted.length < few) break
    const page = await run.pace
      .run(() => listFrom(run.parts.store, first.key, wanted.length, run.signal))
      .catch((error: unknown) => {
        run.signal.throwIfAborted()
        // A policy may let objects be read and no list: then they are asked for one by one.
        if (KeepsakeError.is(error)) return []
        throw error
      })
    const last = page.at(-1)
    const listed = new Map(page.map((object) => [object.key, object]))
    let hits = 0
    // Up to the last listed key nothing more is to be learnt.
    for (let next = wanted[0]; next !== undefined; next = wanted[0]) {
      if (last !== undefined && compareObjectKeys(next.key, last.key) > 0) break
      wanted.shift()
      const object = listed.get(next.key)
      if (object === undefined) continue
      hits += 1
      if (object.size === next.size && bare(object.etag) === bare(next.etag)) proven.add(next.path)
    }
    if (hits * sparse < page.length || hits === 0) break
  }
  return proven
}

/** One page, from a key on, that key included. */
async function listFrom(
  store: ObjectStore,
  key: string,
  count: number,
  signal: AbortSignal,
): Promise<readonly ListedObject[]> {
  // A list begins behind a key: behind the one that is short of the last character, which comes just before it.
  const startAfter = [...key].slice(0, -1).join('')
  const pageSize = Math.min(1000, count + 1)
  const options = { pageSize, signal, ...(startAfter === '' ? {} : { startAfter }) }
  const page: ListedObject[] = []
  for await (const object of store.list(options)) {
    page.push(object)
    if (page.length === pageSize) break
  }
  return page
}

/** Some stores leave the quotes out in one answer or the other. */
function bare(etag: string): string {
  return etag.replace(/^"|"$/g, '')
}
