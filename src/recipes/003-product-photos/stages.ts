import { type CollectionDefinition, KeepsakeError } from '../../index.ts'

/** The folders of the document's step 4, in the order in which a job goes through them. */
export const stages = ['originals', 'masks', 'backgrounds', 'composites', 'thumbs'] as const
/** And what a job only needs on its way, which is kept for a week. */
export type Stage = (typeof stages)[number] | 'temp'

/** A stage is a collection: its keys begin with a word of their own, so each may be public or private. */
export const collectionNames = [...stages, 'temp' as const].map(collectionOf)

/** Those are made of others, and say of which. */
const madeOfOthers: readonly Stage[] = ['masks', 'composites', 'thumbs']

/** A job's id goes into keys, so it has the characters of one. */
export const jobPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/

export function collectionOf(stage: Stage): string {
  return `product-${stage}`
}

export type StageLimits = {
  readonly accept: readonly string[]
  readonly maxSize: number | string
  readonly publicStages: readonly Stage[]
  readonly keepTemp: number | string
}

export function stageCollections({ accept, maxSize, publicStages, keepTemp }: StageLimits) {
  const attributes = { job: { required: true, pattern: jobPattern, maxLength: 128 } }
  const common = { accept: [...accept], maxSize, attributes }
  const collections: Record<string, CollectionDefinition> = {
    // Not under temp/, which the bucket's lifecycle empties: the catalogue would go on saying that it is stored.
    [collectionOf('temp')]: { ...common, key: 'temporary/{job}/{id}.{ext}', keep: keepTemp },
  }
  for (const stage of stages) {
    const access = publicStages.includes(stage) ? 'public' : 'private'
    collections[collectionOf(stage)] = { ...common, key: `${stage}/{job}/{id}.{ext}`, access }
  }
  return collections
}

/** @throws `invalid_request` */
export function requireParents(stage: Stage, parents: readonly string[]): void {
  if (parents.length > 0 || !madeOfOthers.includes(stage)) return
  throw new KeepsakeError(
    'invalid_request',
    `What goes to ${stage} was made of something. Name its parents: the ids of the original, the mask, the background.`,
  )
}
