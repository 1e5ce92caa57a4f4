import { createHash, type Hash, hash } from 'node:crypto'
import { KeepsakeError } from '../media/index.ts'
import type { CheckedBody, MultipartUpload, ObjectBody, ObjectStore, PutRequest, RangedBody } from './object-store.ts'
import { type PartPlan, type PartRange, partRanges, planParts } from './part-plan.ts'
import { sendParts } from './send-parts.ts'

export type PutInPartsOptions = {
  /** Bytes. */
  readonly partSize: number
  /** Parts under way at a time. A body without ranges is held in memory by that many parts. */
  readonly parallel: number
}

type MultipartStore = Pick<ObjectStore, 'name' | 'createMultipart' | 'putPart' | 'completeMultipart' | 'abortMultipart'>

type Part = PartRange & CheckedBody & { release(): void }

/**
 * A put by multipart. The hash of the whole is taken on the way and compared before the upload is completed, and each
 * part is sent with its own, so nothing but the announced bytes becomes an object.
 */
export async function putInParts(
  store: MultipartStore,
  request: PutRequest,
  { partSize, parallel }: PutInPartsOptions,
): Promise<{ readonly etag: string }> {
  const { body, size, createOnly = true, signal, sha256: _, ...settings } = request
  const call = signal ? { signal } : {}
  const plan = planParts(size, partSize)
  const upload = await store.createMultipart({ ...settings, keepSha256: true, ...call })
  return sendParts({
    parts: isRanged(body) ? rangedParts(request, body, plan) : heldParts(request, body, plan, parallel),
    parallel,
    signal,
    send: (part, signal) => sendPart(store, upload, part, signal),
    complete: (parts) => store.completeMultipart(upload, parts, { size, createOnly, ...call }).catch(sweptAway),
    abort: (signal) => store.abortMultipart(upload, { signal }),
  })
}

async function sendPart(store: MultipartStore, upload: MultipartUpload, part: Part, signal: AbortSignal) {
  const { partNumber, body, size, sha256 } = part
  const sent = await store.putPart(upload, { partNumber, body, size, sha256, signal }).catch(sweptAway)
  // Not after a failure: the bytes may still be on their way out.
  part.release()
  return sent
}

/** To a caller of put, an upload that somebody aborted is one more thing that may work the next time. */
function sweptAway(error: unknown): never {
  if (!KeepsakeError.is(error, 'object_missing')) throw error
  throw new KeepsakeError(
    'store_unavailable',
    `The parts of a put were swept away before it was done. ${error.message}`,
    {
      cause: error,
      details: error.details,
    },
  )
}

function isRanged(body: ObjectBody): body is RangedBody | Uint8Array {
  return typeof body !== 'function'
}

/** Reads each range twice, to hash it and to send it, and holds none. */
async function* rangedParts(
  request: PutRequest,
  body: RangedBody | Uint8Array,
  plan: PartPlan,
): AsyncGenerator<Part, void, undefined> {
  const whole = createHash('sha256')
  const { size } = request
  if (body instanceof Uint8Array && body.length !== size) throw otherBytes(request, body.length)
  for (const range of partRanges(size, plan)) {
    const { start, end } = range
    let part: ObjectBody
    let sha256: string
    if (body instanceof Uint8Array) {
      part = body.subarray(start, end)
      whole.update(part)
      sha256 = hash('sha256', part, 'hex')
    } else {
      part = { read: (from, to) => body.read(start + from, start + to) }
      sha256 = await hashRange(request, body, range, whole)
    }
    if (range.partNumber === plan.parts) checkWhole(request, whole)
    yield { ...range, body: part, size: end - start, sha256, release: () => undefined }
  }
}

async function hashRange(request: PutRequest, body: RangedBody, { start, end }: PartRange, whole: Hash) {
  const part = createHash('sha256')
  let at = start
  for await (const piece of readFrom(body.read(start, end))) {
    at += piece.length
    whole.update(piece)
    part.update(piece)
  }
  if (at !== end) throw otherBytes(request, at)
  return part.digest('hex')
}

/** Reads the source once, into as many blocks of memory as parts are under way. */
async function* heldParts(
  request: PutRequest,
  body: () => AsyncIterable<Uint8Array>,
  plan: PartPlan,
  parallel: number,
): AsyncGenerator<Part, void, undefined> {
  const whole = createHash('sha256')
  const { size } = request
  const free: Uint8Array[] = []
  const ranges = partRanges(size, plan)
  let range = next(ranges)
  let block: Uint8Array = Buffer.allocUnsafeSlow(plan.partSize)
  let filled = 0
  let at = 0
  for await (const piece of readFrom(body())) {
    at += piece.length
    if (at > size) throw otherBytes(request, at)
    for (let from = 0; from < piece.length; ) {
      if (range === undefined) throw otherBytes(request, at)
      const some = piece.subarray(from, from + range.end - range.start - filled)
      block.set(some, filled)
      from += some.length
      filled += some.length
      if (filled < range.end - range.start) continue
      const held = block
      const content = held.subarray(0, filled)
      whole.update(content)
      // The last part goes out only when the source has ended as announced, below.
      if (range.partNumber === plan.parts) break
      yield partOf(range, content, () => void (free.length < parallel && free.push(held)))
      range = next(ranges)
      block = free.pop() ?? Buffer.allocUnsafeSlow(plan.partSize)
      filled = 0
    }
  }
  if (at !== size || range === undefined) throw otherBytes(request, at)
  checkWhole(request, whole)
  yield partOf(range, block.subarray(0, filled), () => undefined)
}

function next(ranges: Generator<PartRange>): PartRange | undefined {
  const { value, done } = ranges.next()
  return done ? undefined : value
}

function partOf(range: PartRange, content: Uint8Array, release: () => void): Part {
  return { ...range, body: content, size: content.length, sha256: hash('sha256', content, 'hex'), release }
}

/** What a source throws comes out as the one error that callers get. */
async function* readFrom(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source
  } catch (error) {
    throw KeepsakeError.from(error)
  }
}

function checkWhole(request: PutRequest, whole: Hash): void {
  if (whole.digest('hex') === request.sha256) return
  throw new KeepsakeError(
    'content_mismatch',
    `The body of '${request.key}' has another SHA-256 than announced. Nothing was written.`,
  )
}

function otherBytes({ key, size }: PutRequest, found: number): KeepsakeError {
  const many = found < size ? `only ${found}` : `at least ${found}`
  return new KeepsakeError(
    'content_mismatch',
    `The body of '${key}' has ${many} bytes; ${size} were announced. Nothing was written.`,
  )
}
