import type { FoundFile } from '../../catalogue/index.ts'
import { readHead, SNIFF_BYTES, type Spooled, spool } from '../../intake/index.ts'
import { isReservedKey, KeepsakeError } from '../../media/index.ts'
import type { GetOptions, ObjectContent, ObjectStore } from '../../stores/index.ts'
import type { MoveSource, Oddity } from './source.ts'

/** The objects under a prefix of another bucket. Their bytes pass through this machine once, to be hashed and judged. */
export class BucketSource implements MoveSource {
  readonly name: string
  readonly #store: ObjectStore
  readonly #prefix: string
  readonly #spoolDir: string
  readonly #isOwn: boolean

  /**
   * @param bucket The bucket's name. `prefix` is taken to the letter: with a slash at its end it is a folder. `isOwn`:
   * it is the bucket that Keepsake keeps its objects in, among them what is no media.
   */
  constructor(options: { bucket: string; prefix: string; store: ObjectStore; spoolDir: string; isOwn?: boolean }) {
    this.name = `s3://${options.bucket}/${options.prefix}`
    this.#store = options.store
    this.#prefix = options.prefix
    this.#spoolDir = options.spoolDir
    this.#isOwn = options.isOwn ?? false
  }

  async *list(odd: (oddity: Oddity) => void, signal: AbortSignal): AsyncIterable<FoundFile> {
    for await (const { key, size, etag } of this.#store.list({ prefix: this.#prefix, signal })) {
      const path = key.slice(this.#prefix.length)
      // What consoles make to show an empty folder.
      if (path === '' || (size === 0 && path.endsWith('/'))) odd({ path: key, why: 'a folder marker' })
      else if (this.#isOwn && isReservedKey(key)) odd({ path, why: 'Keepsake’s own' })
      else yield { path, size, version: etag }
    }
  }

  async hold(
    file: FoundFile,
    { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<Spooled> {
    if (file.size > maxBytes) {
      throw new KeepsakeError('content_too_large', `The object has ${file.size} bytes. Allowed are ${maxBytes}.`)
    }
    const object = await this.#get(file, { signal })
    const body = object.body[Symbol.asyncIterator]()
    if (object.etag !== file.version || object.size !== file.size) {
      await body.return?.()
      throw new KeepsakeError('source_gone', 'The object was changed since it was listed. Retry it.')
    }
    const { chunks } = await readHead(body, SNIFF_BYTES)
    return spool(chunks, body, { dir: this.#spoolDir, maxBytes, signal })
  }

  async peek(file: FoundFile, bytes: number, signal: AbortSignal): Promise<Uint8Array> {
    if (file.size === 0) return new Uint8Array(0)
    const { body } = await this.#get(file, { signal, range: { start: 0, end: Math.min(bytes, file.size) - 1 } })
    const chunks: Uint8Array[] = []
    for await (const chunk of body) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  #get(file: FoundFile, options: GetOptions): Promise<ObjectContent> {
    return this.#store.get(this.#prefix + file.path, options).catch((error: unknown) => {
      if (!KeepsakeError.is(error, 'object_missing')) throw error
      throw new KeepsakeError('source_gone', 'The object is not there any more.', { cause: error })
    })
  }

  async remove(file: FoundFile): Promise<boolean> {
    const key = this.#prefix + file.path
    const head = await this.#store.head(key)
    if (head === undefined) return true
    if (head.etag !== file.version) return false
    const { failed } = await this.#store.delete([key])
    const first = failed[0]
    if (first) throw new KeepsakeError('store_denied', `The source object could not be removed: ${first.message}`)
    return true
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}
