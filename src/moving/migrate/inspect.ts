import type { FoundFile } from '../../catalogue/index.ts'
import { type Measures, probe, requireComplete, SNIFF_BYTES, type Spooled, sniff } from '../../intake/index.ts'
import { acceptsContentType, type Collection, KeepsakeError } from '../../media/index.ts'
import type { MoveSource } from './source.ts'

/** A file that was looked at: what it is by its own bytes. Dispose of what holds them. */
export type Inspected = Measures & { readonly file: FoundFile; readonly held: Spooled; readonly contentType: string }

/**
 * The same judgement as an import's.
 *
 * @throws {KeepsakeError} `content_type_refused`, `content_truncated`, and what {@link MoveSource.hold} throws.
 */
export async function inspect(
  source: MoveSource,
  file: FoundFile,
  collection: Collection,
  signal: AbortSignal,
): Promise<Inspected> {
  const held = await source.hold(file, { maxBytes: collection.maxSize, signal })
  try {
    const contentType = await sniff(await held.read(0, SNIFF_BYTES))
    if (!acceptsContentType(collection.accept, contentType)) {
      throw new KeepsakeError(
        'content_type_refused',
        `The content is ${contentType}, as its first bytes say. The collection '${collection.name}' accepts: ` +
          `${collection.accept.join(', ')}.`,
      )
    }
    // Nothing tells a file that was cut off long ago from a whole one, but its own format.
    await requireComplete(contentType, held)
    return { file, held, contentType, ...(await probe(contentType, held)) }
  } catch (error) {
    await held.dispose()
    throw error
  }
}
