import { createHash } from 'node:crypto'
import { acceptsContentType, type Collection, KeepsakeError, kindOf, type UploadTerms } from '../../media/index.ts'
import type { ObjectContent, ObjectStore } from '../../stores/index.ts'
import { readHead } from '../head.ts'
import type { ContentFacts } from '../object-metadata.ts'
import { probe, soundType } from '../probe.ts'
import { SNIFF_BYTES, sniff } from '../sniff.ts'
import { tooLarge } from '../source-limit.ts'
import { spool } from '../spool.ts'
import { rangeReader } from './object-reader.ts'

export type ExamineOptions = {
  readonly store: ObjectStore
  /** A folder for images that are too large for memory. */
  readonly spoolDir: string
  /** Aborted at the end, too: what was not read to its end lets go of its connection by that. */
  readonly signal: AbortSignal
  /** The (normalized) type that was announced. */
  readonly announced: string
}

/** What the bytes are, and their true (normalized) type. */
export type Examined = ContentFacts & { readonly contentType: string }

/** What is as small is held whole. Bytes. */
const largestInMemory = 1024 * 1024
/** Images are measured from a file, whole; a larger one is not measured. Bytes. */
const largestSpooled = 64 * 1024 * 1024
/** Seconds that measuring may take: the bytes are in the bucket, not on a disk. */
const probeDeadline = 10

/**
 * Finds out what an object is that a client put: reads it once, in constant memory, judging its first bytes before the
 * rest is asked for.
 *
 * @throws `content_mismatch`, `content_type_refused`, and what the store throws.
 */
export async function examine(
  content: ObjectContent,
  terms: UploadTerms,
  collection: Collection,
  { store, spoolDir, signal, announced }: ExamineOptions,
): Promise<Examined> {
  const { size } = content
  if (terms.atMost && size > terms.size) throw tooLarge(terms.size, size)
  if (terms.atMost && size === 0) throw new KeepsakeError('content_empty', 'The object has no bytes.')
  if (!terms.atMost && size !== terms.size) {
    throw new KeepsakeError('content_mismatch', `The object has ${size} bytes; ${terms.size} were announced.`, {
      details: { size, announced: terms.size },
    })
  }
  const body = content.body[Symbol.asyncIterator]()
  const { chunks, head } = await readHead(body, SNIFF_BYTES)
  const sniffed = await sniff(head)
  const contentType = isSoundOf(announced, sniffed)
    ? await soundType(sniffed, rangeReader(store, content, signal), probeDeadline)
    : sniffed
  if (!acceptsContentType(collection.accept, contentType)) {
    throw new KeepsakeError(
      'content_type_refused',
      `The content is ${contentType}, as its first bytes say. The collection '${collection.name}' accepts: ` +
        `${collection.accept.join(', ')}.`,
      { details: { contentType } },
    )
  }
  if (terms.sameType && contentType !== announced) {
    throw new KeepsakeError(
      'content_mismatch',
      `The content is ${contentType}, as its first bytes say; ${announced} was announced.`,
      { details: { contentType, announced } },
    )
  }
  if (size <= largestInMemory || (kindOf(contentType) === 'image' && size <= largestSpooled)) {
    const spooled = await spool(chunks, body, { dir: spoolDir, maxBytes: size, signal })
    try {
      requireHash(spooled.sha256, terms)
      return { size, sha256: spooled.sha256, ...(await probe(contentType, spooled)), contentType }
    } finally {
      await spooled.dispose()
    }
  }
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  for (let next = await body.next(); !next.done; next = await body.next()) {
    signal.throwIfAborted()
    hash.update(next.value)
  }
  const sha256 = hash.digest('hex')
  requireHash(sha256, terms)
  const measures = await probe(contentType, rangeReader(store, content, signal), probeDeadline)
  return { size, sha256, ...measures, contentType }
}

/** Recorders write sound alone into what begins as a film (Safari: ISO media of the brand `isom`). */
function isSoundOf(announced: string, sniffed: string): boolean {
  return kindOf(announced) === 'audio' && announced === sniffed.replace(/^video\//, 'audio/') && announced !== sniffed
}

function requireHash(found: string, { sha256 }: UploadTerms): void {
  if (sha256 === null || sha256 === found) return
  throw new KeepsakeError('content_mismatch', 'The object does not have the SHA-256 that was announced.', {
    details: { sha256: found, announced: sha256 },
  })
}
