import { KeepsakeError } from '../../media/index.ts'
import type { S3Client } from './client.ts'
import { headObject } from './head.ts'
import type { Capabilities } from './providers.ts'

/**
 * The condition of a create-only write, after a look at the key where the store's own condition cannot be relied on.
 *
 * @throws {KeepsakeError} `object_exists`
 */
export async function createOnlyHeaders(
  client: S3Client,
  write: keyof Capabilities['createOnly'],
  key: string,
  signal: AbortSignal | undefined,
): Promise<Record<string, string>> {
  // Every store that may be unknown obeys the condition of a PUT, so the usual put asks nothing.
  const { createOnly } = write === 'put' ? client.capabilities : await client.learnCapabilities(signal)
  if (createOnly[write] !== 'exact') await refuseTaken(client, key, signal)
  return createOnly[write] === 'refused' ? {} : { 'if-none-match': '*' }
}

/** @throws {KeepsakeError} `object_exists` */
export async function refuseTaken(client: S3Client, key: string, signal: AbortSignal | undefined): Promise<void> {
  if ((await headObject(client, key, signal ? { signal } : {})) === undefined) return
  throw new KeepsakeError('object_exists', `An object '${key}' exists in ${client.storeName}. It was not touched.`)
}
