import type { FoundFile, MoveOptions } from '../../catalogue/index.ts'
import { SNIFF_BYTES, sniff } from '../../intake/index.ts'
import { acceptsContentType, type Collection, KeepsakeError, newAssetId } from '../../media/index.ts'
import { planFiles } from './plan-file.ts'
import type { MoveSource, Oddity } from './source.ts'

/** What a move would do, as far as first bytes and paths tell. */
export type Rehearsal = {
  readonly files: number
  /** Bytes. */
  readonly bytes: number
  /** How many would be refused, and the first hundred of them. */
  readonly refused: number
  readonly refusals: readonly { readonly path: string; readonly code: string; readonly message: string }[]
  /** The first twenty of the others. The ids in their keys will be others. */
  readonly samples: readonly { readonly path: string; readonly key: string; readonly owner: string }[]
  readonly odd: readonly Oddity[]
}

const atOnce = 16

/**
 * Walks the source as a move would, reads the first bytes of every file and changes nothing anywhere.
 *
 * @throws {KeepsakeError} `invalid_request`, `invalid_source`, `store_unavailable`
 */
export async function rehearse(
  source: MoveSource,
  collection: Collection,
  options: MoveOptions,
  signal: AbortSignal,
  onProgress: (files: number, bytes: number) => void = () => {},
): Promise<Rehearsal> {
  const plan = planFiles(collection, options)
  const odd: Oddity[] = []
  const refusals: { path: string; code: string; message: string }[] = []
  const samples: { path: string; key: string; owner: string }[] = []
  let [files, bytes, refused] = [0, 0, 0]
  const look = async (file: FoundFile) => {
    try {
      if (file.size > collection.maxSize) {
        throw new KeepsakeError('content_too_large', `It has ${file.size} bytes. Allowed are ${collection.maxSize}.`)
      }
      if (file.size === 0) throw new KeepsakeError('content_empty', 'It is empty.')
      const contentType = await sniff(await source.peek(file, SNIFF_BYTES, signal))
      if (!acceptsContentType(collection.accept, contentType)) {
        throw new KeepsakeError('content_type_refused', `It is ${contentType}.`)
      }
      const { key, owner } = plan(file.path, { id: newAssetId(), contentType })
      if (samples.length < 20) samples.push({ path: file.path, key, owner })
    } catch (error) {
      signal.throwIfAborted()
      const { code, message, retryable } = KeepsakeError.from(error)
      if (retryable || code === 'internal') throw error
      refused += 1
      if (refusals.length < 100) refusals.push({ path: file.path, code, message })
    }
  }
  let batch: FoundFile[] = []
  for await (const file of source.list((oddity) => void (odd.length < 100 && odd.push(oddity)), signal)) {
    files += 1
    bytes += file.size
    batch.push(file)
    if (batch.length < atOnce) continue
    await Promise.all(batch.map(look))
    batch = []
    onProgress(files, bytes)
  }
  await Promise.all(batch.map(look))
  return { files, bytes, refused, refusals, samples, odd }
}
