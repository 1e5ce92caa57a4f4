import { createHash } from 'node:crypto'
import type { FoundObject, ObjectToLook } from '../../catalogue/index.ts'
import { describeObject } from '../../intake/index.ts'
import { KeepsakeError, kindOf, normalizeContentType } from '../../media/index.ts'
import type { ObjectHead, ObjectStore } from '../../stores/index.ts'

type LookOptions = {
  /** Read an object that nobody hashed. */
  readonly hash: boolean
  readonly atOnce: number
  readonly signal?: AbortSignal
}

/** Looks at objects, some at a time: the list of a bucket has no metadata. */
export async function lookAt(
  store: ObjectStore,
  objects: readonly ObjectToLook[],
  options: LookOptions,
): Promise<readonly FoundObject[]> {
  const found: FoundObject[] = []
  const queue = objects.values()
  const worker = async () => {
    for (const { key } of queue) found.push(await lookAtOne(store, key, options))
  }
  await Promise.all(Array.from({ length: options.atOnce }, worker))
  return found
}

async function lookAtOne(store: ObjectStore, key: string, { hash, signal }: LookOptions): Promise<FoundObject> {
  const call = signal ? { signal } : {}
  const head = await store.head(key, call)
  if (head === undefined) return { key, found: 'gone' }
  const description = describeObject(head)
  if (typeof description === 'string') return { key, found: description }
  const contentType = normalizeContentType(head.contentType)
  if (contentType === '' || contentType.length > 255) return { key, found: 'invalid' }
  if (description.sha256 !== null) {
    return { key, found: 'claim', ...description, sha256: description.sha256, contentType, kind: kindOf(contentType) }
  }
  if (!hash) return { key, found: 'unhashed' }
  const sha256 = await hashOf(store, head, call)
  if (sha256 === undefined) return { key, found: 'gone' }
  return { key, found: 'claim', ...description, sha256, contentType, kind: kindOf(contentType) }
}

/** SHA-256 of an object, or undefined where it is gone meanwhile. */
async function hashOf(
  store: ObjectStore,
  { key, size }: ObjectHead,
  call: { readonly signal?: AbortSignal },
): Promise<string | undefined> {
  const sha256 = createHash('sha256')
  let bytes = 0
  try {
    const { body } = await store.get(key, call)
    for await (const chunk of body) {
      sha256.update(chunk)
      bytes += chunk.byteLength
    }
  } catch (error) {
    if (KeepsakeError.is(error, 'object_missing')) return undefined
    throw error
  }
  if (bytes !== size) {
    throw new KeepsakeError('store_unavailable', `An object of ${size} bytes ended after ${bytes}. Run it again.`)
  }
  return sha256.digest('hex')
}
