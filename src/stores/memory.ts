import { createHash, createHmac, hash, randomBytes } from 'node:crypto'
import { KeepsakeError } from '../media/index.ts'
import { throwIfAborted } from './abort.ts'
import { checkObjectKey, compareObjectKeys } from './object-key.ts'
import type {
  CallOptions,
  GetOptions,
  ListedObject,
  ListOptions,
  ObjectContent,
  ObjectHead,
  ObjectStore,
  PutRequest,
  SignedUrl,
} from './object-store.ts'

export type MemoryStoreOptions = {
  /** Default: `memory://objects`. */
  readonly name?: string
  /** Milliseconds since 1970. Default: Date.now. */
  readonly now?: () => number
}

type Entry = { readonly head: ObjectHead; readonly bytes: Uint8Array }

/**
 * An object store in this process's memory, for tests and models. Its signed URLs (`memory://…`) are well-formed and
 * unguessable, but nothing answers them.
 */
export function createMemoryStore(options: MemoryStoreOptions = {}): ObjectStore {
  const name = options.name ?? 'memory://objects'
  const now = options.now ?? Date.now
  const secret = randomBytes(32)
  const entries = new Map<string, Entry>()

  const find = (key: string): Entry => {
    const entry = entries.get(key)
    if (!entry) throw new KeepsakeError('object_missing', `There is no object '${key}' in ${name}.`)
    return entry
  }
  const sign = (method: string, key: string, expiresIn: number, at: Date | undefined, signed: unknown): SignedUrl => {
    checkObjectKey(key)
    if (!Number.isInteger(expiresIn) || expiresIn < 1 || expiresIn > 604_800) {
      throw new KeepsakeError(
        'invalid_request',
        `A signed URL cannot live ${expiresIn} seconds. Allowed is 1 to 604800.`,
      )
    }
    const start = Math.floor((at?.getTime() ?? now()) / 1000)
    const text = JSON.stringify([method, key, expiresIn, start, signed])
    const signature = createHmac('sha256', secret).update(text).digest('hex')
    const path = key.split('/').map(encodeURIComponent).join('/')
    return {
      url: `memory://objects/${path}?date=${start}&expires=${expiresIn}&signature=${signature}`,
      expiresAt: new Date((start + expiresIn) * 1000),
    }
  }

  return {
    name,

    async put(request) {
      checkObjectKey(request.key)
      const bytes = await collect(name, request)
      checkContent(name, request, bytes)
      // From here on nothing waits, so that create-only is exact.
      if ((request.createOnly ?? true) && entries.has(request.key)) {
        throw new KeepsakeError('object_exists', `An object '${request.key}' exists in ${name}.`)
      }
      const head = {
        key: request.key,
        size: bytes.length,
        etag: `"${createHash('md5').update(bytes).digest('hex')}"`,
        contentType: request.contentType,
        lastModified: new Date(Math.floor(now() / 1000) * 1000),
        metadata: { ...request.metadata },
      }
      entries.set(request.key, { head, bytes })
      return { etag: head.etag }
    },

    async get(key: string, options: GetOptions = {}): Promise<ObjectContent> {
      throwIfAborted(name, options.signal)
      checkObjectKey(key)
      const { head, bytes } = find(key)
      const { start, end } = options.range ?? { start: 0 }
      const isWhole = start === 0 && end === undefined
      if (!isWhole && !(start >= 0 && start < bytes.length && (end === undefined || end >= start))) {
        throw new KeepsakeError(
          'invalid_request',
          `The range lies outside of '${key}', which has ${bytes.length} bytes.`,
        )
      }
      const part = bytes.subarray(start, end === undefined ? undefined : end + 1)
      return { ...head, contentLength: part.length, body: pieces(name, part, options.signal) }
    },

    async head(key, options = {}) {
      throwIfAborted(name, options.signal)
      checkObjectKey(key)
      return entries.get(key)?.head
    },

    async delete(keys, options = {}) {
      throwIfAborted(name, options.signal)
      for (const key of keys) checkObjectKey(key)
      for (const key of keys) entries.delete(key)
      return { deleted: [...keys], failed: [] }
    },

    async *list(options: ListOptions = {}): AsyncGenerator<ListedObject> {
      const { prefix = '', startAfter = '', pageSize = 1000, signal } = options
      if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 1000) {
        throw new KeepsakeError('invalid_request', `A page cannot have ${pageSize} objects. Allowed is 1 to 1000.`)
      }
      const keys = [...entries.keys()].filter((key) => key.startsWith(prefix) && compareObjectKeys(key, startAfter) > 0)
      for (const key of keys.sort(compareObjectKeys)) {
        throwIfAborted(name, signal)
        const head = entries.get(key)?.head
        if (head) yield { key, size: head.size, etag: head.etag, lastModified: head.lastModified }
      }
    },

    signGet: (key, { expiresIn, at, response }) => sign('GET', key, expiresIn, at, response),

    signPut: (key, { expiresIn, at, headers }) => ({
      ...sign('PUT', key, expiresIn, at, headers),
      method: 'PUT',
      headers: { ...headers },
    }),

    async check(options: CallOptions = {}) {
      throwIfAborted(name, options.signal)
    },

    async close() {},
  }
}

async function collect(name: string, { body, signal }: PutRequest): Promise<Uint8Array> {
  throwIfAborted(name, signal)
  if (body instanceof Uint8Array) return Uint8Array.from(body)
  const all: Uint8Array[] = []
  for await (const piece of body()) {
    throwIfAborted(name, signal)
    all.push(Uint8Array.from(piece))
  }
  return Buffer.concat(all)
}

function checkContent(name: string, request: PutRequest, bytes: Uint8Array): void {
  if (bytes.length !== request.size || hash('sha256', bytes, 'hex') !== request.sha256) {
    throw new KeepsakeError(
      'content_mismatch',
      `${name} got other bytes for '${request.key}' than announced, and wrote nothing.`,
    )
  }
}

const pieceSize = 64 * 1024

async function* pieces(name: string, bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceSize) {
    throwIfAborted(name, signal)
    yield Uint8Array.from(bytes.subarray(start, start + pieceSize))
  }
}
