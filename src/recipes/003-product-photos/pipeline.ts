import {
  type Asset,
  type AssetUrl,
  type ImportSource,
  KeepsakeError,
  type Provenance,
  type Verbs,
} from '../../index.ts'
import { collectionNames, collectionOf, requireParents, type Stage } from './stages.ts'

export type StageOptions = {
  /** Ids of the assets that this one was made from. Masks, composites and thumbs have some. */
  readonly parents?: readonly string[]
  /** How it was made: provider, model, prompt, settings … */
  readonly provenance?: Omit<Provenance, 'parents'>
  /** For the service: whose it is. */
  readonly owner?: string
  readonly filename?: string
  readonly idempotencyKey?: string
}

export type Lineage = {
  readonly asset: Asset
  /** What it was made from, and what that was made from. */
  readonly ancestors: readonly Asset[]
  /** What was made from it, and from that. */
  readonly descendants: readonly Asset[]
  /** Ids of ancestors that were deleted since. */
  readonly gone: readonly string[]
}

/** Assets that a lineage has at most, each way. */
const longest = 1000
/** Assets that are looked at for it at most, each way: where many have the same parents, most are looked at many times. */
const mostLooks = 5000

/**
 * Keeps what a stage of a job made.
 *
 * @example
 * const original = await saveStage(keepsake, 'job_7', 'originals', { bytes })
 * const mask = await saveStage(keepsake, 'job_7', 'masks', { url }, { parents: [original.id] })
 *
 * @throws `invalid_request` where the stage needs parents and none are named; `asset_not_found` for a parent that is not
 * there, or somebody else's; and what an import throws.
 */
export async function saveStage(
  verbs: Verbs,
  jobId: string,
  stage: Stage,
  source: ImportSource,
  { parents = [], provenance = {}, ...rest }: StageOptions = {},
): Promise<Asset> {
  await checkParents(verbs, stage, parents)
  return verbs.import(collectionOf(stage), {
    source,
    attributes: { job: jobId },
    provenance: parents.length === 0 ? provenance : { ...provenance, parents },
    ...rest,
  })
}

/** @throws `invalid_request`, `asset_not_found` */
export async function checkParents(verbs: Verbs, stage: Stage, parents: readonly string[]): Promise<void> {
  requireParents(stage, parents)
  // Each by itself: the id of one that is not there stands in the error.
  for (const id of parents) await verbs.get(id)
}

/**
 * A link that opens the newest image of a stage, for up to an hour. Users name their jobs as they like, so the service
 * says whose it means where users keep images by themselves: `owner`. Default: of all that `verbs` may see.
 *
 * @throws `asset_not_found`
 */
export async function stageUrl(
  verbs: Verbs,
  jobId: string,
  stage: Stage,
  { owner, ...options }: { readonly expiresIn?: number; readonly owner?: string } = {},
): Promise<AssetUrl> {
  const whose = owner === undefined ? {} : { owner }
  const request = { attributes: { job: jobId }, state: 'stored', limit: 1, ...whose } as const
  const { assets } = await verbs.list(collectionOf(stage), request)
  const [newest] = assets
  if (newest === undefined) {
    throw new KeepsakeError('asset_not_found', `The job has nothing in ${stage} yet.`)
  }
  return verbs.url(newest.id, options)
}

/**
 * What an image was made from, and what came of it, as far as the actor may see it.
 *
 * @throws `asset_not_found`
 */
export async function lineage(verbs: Verbs, id: string): Promise<Lineage> {
  const asset = await verbs.get(id)
  const looked = new Set<string>()
  const gone: string[] = []
  const ancestors = await walk(asset, async ({ provenance }) => {
    const fresh = (provenance.parents ?? []).filter((parent) => !looked.has(parent)).slice(0, mostLooks - looked.size)
    for (const parent of fresh) looked.add(parent)
    const found = await Promise.all(fresh.map((parent) => getOrGone(verbs, parent)))
    gone.push(...fresh.filter((_, index) => found[index] === undefined))
    return found.filter((one) => one !== undefined)
  })
  let looks = 0
  const descendants = await walk(asset, async ({ id: parent }) => {
    const children: Asset[] = []
    for (const name of collectionNames) {
      if (looks >= mostLooks) break
      const { assets } = await verbs.list(name, { parent, limit: Math.min(longest, mostLooks - looks) })
      looks += Math.max(1, assets.length)
      children.push(...assets)
    }
    return children
  })
  return { asset, ancestors, descendants, gone }
}

/** Everything that a step leads to from here, nearest first, each once. */
async function walk(from: Asset, step: (asset: Asset) => Promise<readonly Asset[]>): Promise<readonly Asset[]> {
  const found = new Map<string, Asset>()
  const queue = [from]
  for (let next = queue.shift(); next !== undefined && found.size < longest; next = queue.shift()) {
    for (const asset of await step(next)) {
      if (asset.id === from.id || found.has(asset.id)) continue
      found.set(asset.id, asset)
      queue.push(asset)
    }
  }
  return [...found.values()].slice(0, longest)
}

async function getOrGone(verbs: Verbs, id: string): Promise<Asset | undefined> {
  try {
    return await verbs.get(id)
  } catch (error) {
    if (KeepsakeError.is(error, 'asset_not_found')) return undefined
    throw error
  }
}
