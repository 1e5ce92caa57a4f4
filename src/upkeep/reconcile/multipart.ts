import type { ScanFinding } from '../../catalogue/index.ts'
import type { ListedMultipart } from '../../stores/index.ts'
import { canBeRowKey } from '../row-key.ts'
import { toScanFinding } from './finding.ts'
import { callOptions, day, type ReconcileParts } from './parts.ts'

const batchSize = 500

type UploadParts = Pick<ReconcileParts, 'catalogue' | 'store' | 'collections'>

/**
 * Multipart uploads that nobody goes on with: begun a day and more before `before`, by the store's clock, and under no
 * key that a pending row has. Ours are those whose key a row has, or could have had: it fits a collection's template.
 */
export async function scanUploads(
  { catalogue, store, collections }: UploadParts,
  options: { readonly prefix: string; readonly before: Date; readonly signal?: AbortSignal },
): Promise<readonly (readonly ScanFinding[])[]> {
  const oldest = options.before.getTime() - day * 1000
  const { prefix } = options
  const stale: ListedMultipart[] = []
  for await (const upload of store.listMultipart({
    ...(prefix === '' ? {} : { prefix }),
    ...callOptions(options.signal),
  })) {
    if (upload.initiated.getTime() < oldest) stale.push(upload)
  }
  const batches: ScanFinding[][] = []
  for (let start = 0; start < stale.length; start += batchSize) {
    const batch = stale.slice(start, start + batchSize)
    const states = await catalogue.statesOfKeys(batch.map(({ key }) => key).filter(canBeRowKey))
    batches.push(
      batch.flatMap(({ key, uploadId, initiated }) => {
        const state = states.get(key)
        if (state === 'pending') return []
        const ours = state !== undefined || [...collections.values()].some((collection) => collection.key.fits(key))
        return toScanFinding({ kind: ours ? 'multipart' : 'unknown-upload', key, uploadId, initiated })
      }),
    )
  }
  return batches
}
