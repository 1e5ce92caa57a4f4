import { hash, randomUUID } from 'node:crypto'
import { KeepsakeError } from '../media/index.ts'
import { throwIfAborted } from './abort.ts'
import { checkPartNumber, checkParts } from './multipart-checks.ts'
import { multipartEtag } from './multipart-etag.ts'
import { checkObjectKey, compareObjectKeys } from './object-key.ts'
import type {
  CheckedBody,
  ListedMultipart,
  ListedPart,
  ListMultipartOptions,
  MultipartPart,
  MultipartUpload,
  ObjectSettings,
  ObjectStore,
} from './object-store.ts'
import { multipartLimits } from './part-plan.ts'
import { readBody } from './read-body.ts'

/** Writes an object at once. @throws {KeepsakeError} `object_exists` */
export type WriteObject = (
  key: string,
  bytes: Uint8Array,
  settings: ObjectSettings,
  createOnly: boolean,
  etag?: string,
) => { readonly etag: string }

type Part = ListedPart & { readonly bytes: Uint8Array }
type Upload = ListedMultipart & {
  readonly settings: ObjectSettings
  readonly parts: Map<number, Part>
  keepsSha256: boolean
}

type Parts = {
  readonly name: string
  readonly now: () => number
  readonly write: WriteObject
  readonly etagOf: (key: string) => string | undefined
}

/** The multipart uploads of a store in memory. */
export function createMemoryMultipart({
  name,
  now,
  write,
  etagOf,
}: Parts): Pick<
  ObjectStore,
  'createMultipart' | 'putPart' | 'completeMultipart' | 'abortMultipart' | 'listParts' | 'listMultipart'
> {
  const uploads = new Map<string, Upload>()
  const find = ({ key, uploadId }: MultipartUpload): Upload => {
    checkObjectKey(key)
    const upload = uploads.get(uploadId)
    if (upload?.key === key) return upload
    throw new KeepsakeError(
      'object_missing',
      `There is no such multipart upload of '${key}' in ${name}. Begin a new one.`,
    )
  }

  return {
    async createMultipart({ key, signal, keepSha256 = false, ...settings }) {
      throwIfAborted(name, signal)
      checkObjectKey(key)
      const uploadId = randomUUID()
      uploads.set(uploadId, {
        key,
        uploadId,
        initiated: new Date(now()),
        settings,
        parts: new Map(),
        keepsSha256: keepSha256,
      })
      return { key, uploadId, keepsSha256: keepSha256 }
    },

    async putPart(given, request) {
      const { partNumber, sha256, signal } = request
      checkPartNumber(partNumber)
      find(given)
      const bytes = await collect(name, request, signal)
      checkContent(name, given.key, request, bytes)
      const { parts, keepsSha256 } = find(given)
      const etag = `"${hash('md5', bytes, 'hex')}"`
      const part = { partNumber, etag, ...(keepsSha256 ? { sha256 } : {}) }
      parts.set(partNumber, { ...part, size: bytes.length, lastModified: new Date(now()), bytes })
      return part
    },

    async completeMultipart(given, parts, { createOnly = true, size, signal } = {}) {
      throwIfAborted(name, signal)
      checkParts(given.key, parts)
      const etag = multipartEtag(parts) ?? '""'
      const isRepeated = !uploads.has(given.uploadId) && etagOf(given.key) === etag
      if (isRepeated) return { etag }
      const upload = find(given)
      const bytes = Buffer.concat(joinable(upload, parts))
      if (size !== undefined && size !== bytes.length) {
        throw new KeepsakeError(
          'content_mismatch',
          `The parts of '${given.key}' make up ${bytes.length} bytes; ${size} were announced. Nothing was written.`,
        )
      }
      const written = write(upload.key, bytes, upload.settings, createOnly, etag)
      uploads.delete(upload.uploadId)
      return written
    },

    async abortMultipart({ key, uploadId }, { signal } = {}) {
      throwIfAborted(name, signal)
      if (uploads.get(uploadId)?.key === key) uploads.delete(uploadId)
    },

    async *listParts(given, { signal } = {}) {
      const parts = [...find(given).parts.values()].sort((a, b) => a.partNumber - b.partNumber)
      for (const { bytes: _, ...part } of parts) {
        throwIfAborted(name, signal)
        yield part
      }
    },

    async *listMultipart({ prefix = '', startAfter = '', signal }: ListMultipartOptions = {}) {
      throwIfAborted(name, signal)
      const found = [...uploads.values()].filter(
        ({ key }) => key.startsWith(prefix) && compareObjectKeys(key, startAfter) > 0,
      )
      found.sort((a, b) => compareObjectKeys(a.key, b.key) || a.initiated.getTime() - b.initiated.getTime())
      for (const { key, uploadId, initiated } of found) yield { key, uploadId, initiated }
    },
  }
}

function joinable({ key, parts: present }: Upload, parts: readonly MultipartPart[]): Uint8Array[] {
  return parts.map(({ partNumber, etag, sha256 }, index) => {
    const part = present.get(partNumber)
    if (part?.etag !== etag || part.sha256 !== sha256) {
      throw new KeepsakeError('invalid_request', `Part ${partNumber} of '${key}' is not the one that was uploaded.`)
    }
    if (index < parts.length - 1 && part.size < multipartLimits.minPartSize) {
      throw new KeepsakeError('invalid_request', `Part ${partNumber} of '${key}' has fewer than 5 MiB.`)
    }
    return part.bytes
  })
}

/** A body as a copy of its own. */
export async function collect(name: string, body: CheckedBody, signal: AbortSignal | undefined): Promise<Uint8Array> {
  throwIfAborted(name, signal)
  const all: Uint8Array[] = []
  for await (const piece of readBody(body.body, body.size)) {
    throwIfAborted(name, signal)
    all.push(Uint8Array.from(piece))
  }
  return Buffer.concat(all)
}

/** @throws {KeepsakeError} `content_mismatch` */
export function checkContent(name: string, key: string, { size, sha256 }: CheckedBody, bytes: Uint8Array): void {
  if (bytes.length !== size || hash('sha256', bytes, 'hex') !== sha256) {
    throw new KeepsakeError(
      'content_mismatch',
      `${name} got other bytes for '${key}' than announced, and wrote nothing.`,
    )
  }
}
