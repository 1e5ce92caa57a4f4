import { type CollectionDefinition, KeepsakeError } from '../../index.ts'

/** The folders of the document's step 4, in the order in which a job goes through them. */
export const stages = ['originals', 'masks', 'backgrounds', 'composites', 'thumbs'] as const
export type Stage = (typeof stages)[number] | 'temp'

/** Where a job's images are kept, and where what a job only needs on its way is, for a week. */
export const collectionName = 'product-photos'
export const tempCollectionName = 'product-photos-temp'
export const collectionNames = [collectionName, tempCollectionName] as const

/** Those are made of others, and say of which. */
const madeOfOthers: readonly Stage[] = ['masks', 'composites', 'thumbs']

/** A job's id goes into keys, so it has the characters of one. */
export const jobPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/

export type StageLimits = {
  readonly accept: readonly string[]
  readonly maxSize: number | string
  readonly access: 'private' | 'public'
  readonly keepTemp: number | string
}

export function stageCollections({ accept, maxSize, access, keepTemp }: StageLimits) {
  const job = { required: true, pattern: jobPattern, maxLength: 128 }
  return {
    [collectionName]: {
      key: '{stage}/{job}/{id}.{ext}',
      accept: [...accept],
      maxSize,
      access,
      attributes: { job, stage: { required: true, pattern: new RegExp(stages.join('|')) } },
    },
    // Not under temp/, which the bucket's lifecycle empties: the catalogue would go on saying that it is stored.
    [tempCollectionName]: {
      key: 'temporary/{job}/{id}.{ext}',
      accept: [...accept],
      maxSize,
      attributes: { job },
      keep: keepTemp,
    },
  } satisfies Record<string, CollectionDefinition>
}

type Place = { readonly collection: string; readonly attributes: Readonly<Record<string, string>> }

/** Where a stage of a job is: the collection, and the attributes to keep it under and to find it by. */
export function placeOf(jobId: string, stage: Stage): Place {
  return stage === 'temp'
    ? { collection: tempCollectionName, attributes: { job: jobId } }
    : { collection: collectionName, attributes: { job: jobId, stage } }
}

/** @throws `invalid_request` */
export function requireParents(stage: Stage, parents: readonly string[]): void {
  if (parents.length > 0 || !madeOfOthers.includes(stage)) return
  throw new KeepsakeError(
    'invalid_request',
    `What goes to ${stage} was made of something. Name its parents: the ids of the original, the mask, the background.`,
  )
}
