import { createHash } from 'node:crypto'
import { type AssetHealth, type AssetRecord, KeepsakeError } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'
import type { Throttle } from './throttle.ts'

/**
 * - `exists`: the object is there and has its size. One HEAD.
 * - `checksum`: and the SHA-256 that the store keeps of it is the asset's. One HEAD; where the store keeps none, the
 *   hash in the object's metadata is compared, which proves whose object it is and not its bytes.
 * - `full`: its bytes are read and hashed.
 */
export const verifyLevels = ['exists', 'checksum', 'full'] as const
export type VerifyLevel = (typeof verifyLevels)[number]

export type Finding = {
  readonly health: AssetHealth
  /** The bytes themselves were shown to be right, by the store's own hash or by reading them. */
  readonly proven: boolean
  /** Facts for the audit. */
  readonly detail: Readonly<Record<string, string | number>>
}

const missing: Finding = { health: 'missing', proven: false, detail: {} }

/**
 * Looks at the object of a stored asset. Only an answer that there is no object is `missing`: what is refused or fails
 * is thrown, because nothing is known then.
 *
 * @throws `store_unavailable`, `store_denied`, `timeout`
 */
export async function lookAt(
  store: ObjectStore,
  asset: AssetRecord,
  level: VerifyLevel,
  options: { readonly signal: AbortSignal; readonly throttle: Throttle | undefined },
): Promise<Finding> {
  if (asset.key === null) throw new KeepsakeError('internal', 'A stored asset has no key.')
  if (level === 'full') return readWhole(store, asset, asset.key, options)
  const head = await store.head(asset.key, { signal: options.signal, checksum: level === 'checksum' })
  if (head === undefined) return missing
  if (head.size !== asset.size) return corrupt({ size: head.size, expectedSize: asset.size ?? 0 })
  if (level === 'exists') return { health: 'ok', proven: false, detail: {} }
  const told = head.sha256 ?? head.metadata.sha256
  if (told !== undefined && told !== asset.sha256) return corrupt({ sha256: told })
  return { health: 'ok', proven: head.sha256 !== undefined, detail: {} }
}

async function readWhole(
  store: ObjectStore,
  asset: AssetRecord,
  key: string,
  { signal, throttle }: { readonly signal: AbortSignal; readonly throttle: Throttle | undefined },
): Promise<Finding> {
  const content = await store.get(key, { signal }).catch((error: unknown) => {
    if (KeepsakeError.is(error, 'object_missing')) return undefined
    throw error
  })
  if (content === undefined) return missing
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of content.body) {
    hash.update(chunk)
    size += chunk.byteLength
    await throttle?.take(chunk.byteLength, signal)
    signal.throwIfAborted()
  }
  // A body that was cut says nothing of the object.
  if (size !== content.contentLength) {
    throw new KeepsakeError(
      'store_unavailable',
      `The store sent ${size} of ${content.contentLength} bytes of '${key}'.`,
    )
  }
  const sha256 = hash.digest('hex')
  if (size === asset.size && sha256 === asset.sha256) return { health: 'ok', proven: true, detail: {} }
  return corrupt({ sha256, size, expectedSize: asset.size ?? 0 })
}

function corrupt(detail: Finding['detail']): Finding {
  return { health: 'corrupt', proven: false, detail }
}
