import { createHmac, hash, randomBytes } from 'node:crypto'
import { KeepsakeError } from '../media/index.ts'
import { throwIfAborted } from './abort.ts'
import { checkContent, collect, createMemoryMultipart, type WriteObject } from './memory-multipart.ts'
import { checkPartNumber } from './multipart-checks.ts'
import { checkObjectKey, compareObjectKeys } from './object-key.ts'
import type {
  CallOptions,
  GetOptions,
  ListedObject,
  ListOptions,
  ObjectContent,
  ObjectHead,
  ObjectSettings,
  ObjectStore,
  SignedUrl,
} from './object-store.ts'

export type MemoryStoreOptions = {
  /** Default: `memory://objects`. */
  readonly name?: string
  /** Milliseconds since 1970. Default: Date.now. */
  readonly now?: () => number
}

type Entry = { readonly head: ObjectHead; readonly settings: ObjectSettings; readonly bytes: Uint8Array }

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
  /** Waits for nothing, so that create-only is exact. */
  const write: WriteObject = (key, bytes, settings, createOnly, etag) => {
    if (createOnly && entries.has(key)) {
      throw new KeepsakeError('object_exists', `An object '${key}' exists in ${name}.`)
    }
    const head = {
      key,
      size: bytes.length,
      etag: etag ?? `"${hash('md5', bytes, 'hex')}"`,
      contentType: settings.contentType,
      lastModified: new Date(Math.floor(now() / 1000) * 1000),
      metadata: { ...settings.metadata },
    }
    entries.set(key, { head, settings, bytes })
    return { etag: head.etag }
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
      const bytes = await collect(name, request, request.signal)
      checkContent(name, request.key, request, bytes)
      return write(request.key, bytes, request, request.createOnly ?? true)
    },

    async copy({ source, key, sourceEtag, settings, createOnly = true, signal }) {
      throwIfAborted(name, signal)
      checkObjectKey(source)
      checkObjectKey(key)
      const entry = find(source)
      if (sourceEtag !== undefined && entry.head.etag !== sourceEtag) {
        throw new KeepsakeError(
          'object_missing',
          `There is no object '${source}' with the tag ${sourceEtag} in ${name}.`,
        )
      }
      if (source === key && !createOnly && !settings) {
        throw new KeepsakeError('invalid_request', `A copy of '${key}' onto itself needs other settings.`)
      }
      return write(key, entry.bytes, settings ?? entry.settings, createOnly)
    },

    ...createMemoryMultipart({ name, now, write, etagOf: (key) => entries.get(key)?.head.etag }),

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
      const entry = entries.get(key)
      return entry && options.checksum ? { ...entry.head, sha256: hash('sha256', entry.bytes, 'hex') } : entry?.head
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

    signPart: ({ key, uploadId }, { partNumber, expiresIn, at, headers = {} }) => {
      checkPartNumber(partNumber)
      return {
        ...sign('PUT', key, expiresIn, at, [uploadId, partNumber, headers]),
        method: 'PUT',
        headers: { ...headers },
      }
    },

    async check(options: CallOptions = {}) {
      throwIfAborted(name, options.signal)
    },

    async close() {},
  }
}

const pieceSize = 64 * 1024

async function* pieces(name: string, bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceSize) {
    throwIfAborted(name, signal)
    yield Uint8Array.from(bytes.subarray(start, start + pieceSize))
  }
}
