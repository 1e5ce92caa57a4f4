import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { KeepsakeError } from '../../media/index.ts'
import { Blocks, blockSize } from '../blocks.ts'
import type { ObjectBody } from '../object-store.ts'
import type { Watch } from './watch.ts'

/** One block is on its way out, one waits in the Readable, one is being filled, and one is to spare. */
const blocksOfBody = 4

/** What the bodies of one store pass through: as many as there are of parts under way at a time by default. */
export function stagingBlocks(): Blocks {
  return new Blocks(4 * blocksOfBody)
}

/** A body on its way out: counted, and watched. */
export class OutgoingBody {
  readonly #body: ObjectBody
  readonly #size: number
  readonly #watch: Watch
  readonly #staging: Blocks
  readonly #blocks: Uint8Array[] = []
  /** The error of the source, told apart from those of the connection. */
  sourceError: { readonly error: unknown } | undefined

  constructor(body: ObjectBody, size: number, watch: Watch, staging: Blocks) {
    this.#body = body
    this.#size = size
    this.#watch = watch
    this.#staging = staging
    if (body instanceof Uint8Array && body.length !== size) throw this.#wrongSize(body.length)
  }

  /** What undici sends. */
  get payload(): Uint8Array | Readable {
    if (this.#body instanceof Uint8Array && this.#size <= blockSize) return this.#body
    return Readable.from(this.#pieces(), { objectMode: false })
  }

  /** Once the store has said that it holds the bytes, and not before: until then they may be on their way out. */
  release(): void {
    this.#staging.give(...this.#blocks.splice(0))
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    const source = this.#source()
    let sent = 0
    try {
      for (let next = await this.#ask(source); !next.done; next = await this.#ask(source)) {
        sent += next.value.length
        if (sent > this.#size) throw this.#blame(this.#wrongSize(sent))
        this.#watch.touch()
        yield next.value
      }
      if (sent < this.#size) throw this.#blame(this.#wrongSize(sent))
    } finally {
      await source.return(undefined)
    }
    this.#watch.touch()
  }

  /** Only what the source itself throws is its fault: a broken connection is thrown into {@link #pieces} as well. */
  async #ask(source: AsyncGenerator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    try {
      return await source.next()
    } catch (error) {
      throw this.#blame(error)
    }
  }

  #blame(error: unknown): unknown {
    this.sourceError = { error }
    return error
  }

  async *#source(): AsyncGenerator<Uint8Array> {
    if (typeof this.#body === 'function') return yield* this.#body()
    if (!(this.#body instanceof Uint8Array)) return yield* this.#staged(this.#body.read(0, this.#size))
    for (let start = 0; start < this.#size; start += blockSize) yield this.#body.subarray(start, start + blockSize)
  }

  /** Whatever happens here, the store holds the bytes against their hash. */
  async *#staged(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const blocks = this.#blocks
    let turn = 0
    let filled = 0
    const block = () => (blocks[turn] ??= this.#staging.take())
    for await (const chunk of chunks) {
      for (let from = 0; from < chunk.length; ) {
        const some = chunk.subarray(from, from + blockSize - filled)
        block().set(some, filled)
        from += some.length
        filled += some.length
        if (filled < blockSize) continue
        yield block()
        turn = (turn + 1) % blocksOfBody
        filled = 0
      }
    }
    if (filled > 0) yield block().subarray(0, filled)
  }

  #wrongSize(found: number): KeepsakeError {
    return new KeepsakeError(
      'content_mismatch',
      `The body has ${found < this.#size ? 'only' : 'at least'} ${found} bytes; ${this.#size} were announced. Nothing was written.`,
    )
  }
}

/** A reader that stopped asking is let go after this time, so that it cannot hold a connection for ever. */
const idleReaderMillis = 10 * 60_000

export type IncomingBodyOptions = {
  readonly body: Dispatcher.ResponseData['body']
  readonly contentLength: number
  readonly watch: Watch
  /** The longest wait for the next bytes. */
  readonly stallMillis: number
  readonly fail: (error: unknown) => KeepsakeError
}

/**
 * A body on its way in. It ends with an error unless exactly the announced bytes came: a stream that was cut never
 * looks complete.
 */
export function incomingBody(options: IncomingBodyOptions): AsyncIterable<Uint8Array> {
  const { body, contentLength, watch, stallMillis, fail } = options
  // Until somebody reads, an error has nobody to go to; the reader meets it later.
  body.on('error', () => watch.end())
  watch.arm(idleReaderMillis)
  async function* read(): AsyncGenerator<Uint8Array> {
    let received = 0
    try {
      watch.arm(stallMillis)
      for await (const piece of body) {
        if (!(piece instanceof Uint8Array)) throw new TypeError('A body gave something else than bytes.')
        received += piece.length
        watch.arm(idleReaderMillis)
        yield piece
        watch.arm(stallMillis)
      }
    } catch (error) {
      throw fail(error)
    } finally {
      watch.end()
      body.destroy()
    }
    if (received !== contentLength) throw fail(cutOff(received, contentLength))
  }
  const pieces = read()
  const cancel = () => {
    watch.end()
    body.destroy()
    return pieces.return(undefined)
  }
  // A generator that was never started runs no `finally`, so cancelling is done by hand.
  return { [Symbol.asyncIterator]: () => ({ next: () => pieces.next(), return: cancel }) }
}

function cutOff(received: number, announced: number): KeepsakeError {
  return new KeepsakeError(
    'store_unavailable',
    `The object store cut a body off after ${received} of ${announced} bytes. Ask again.`,
  )
}

/** A small answer as text. */
export async function readText(
  body: Dispatcher.ResponseData['body'],
  limit: number,
  watch?: Pick<Watch, 'touch'>,
): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of body) {
    if (!(piece instanceof Uint8Array)) continue
    watch?.touch()
    size += piece.length
    if (size > limit) {
      body.destroy()
      throw new KeepsakeError('store_unavailable', `The object store sent an answer of more than ${limit} bytes.`)
    }
    pieces.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))
  }
  return Buffer.concat(pieces, size).toString('utf8')
}
