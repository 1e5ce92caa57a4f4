import { z } from 'zod'
import type { AssetRecord } from '../media/index.ts'
import type { ObjectHead } from '../stores/index.ts'

/** What is true of the bytes, found out on the way in. */
export type ContentFacts = {
  readonly size: number
  readonly sha256: string
  readonly width: number | null
  readonly height: number | null
  readonly duration: number | null
}

/**
 * What every object says about itself, so that a lost catalogue can be rebuilt from the bucket: whose it is, which
 * asset it holds, since when, and what its bytes must hash to. Nothing that a person wrote: no prompt, no file name.
 */
export function objectMetadata(record: AssetRecord, facts: ContentFacts): Record<string, string> {
  const optional = { width: facts.width, height: facts.height, duration: facts.duration }
  return {
    ...announcedMetadata(record, facts.sha256),
    ...Object.fromEntries(
      Object.entries(optional).flatMap(([name, value]) => (value === null ? [] : [[name, `${value}`]])),
    ),
  }
}

/** As much of it as is known before the bytes are here. The hash of an upload is its client's word for it. */
export function announcedMetadata(record: AssetRecord, sha256: string | null): Record<string, string> {
  return {
    asset: record.id,
    owner: record.owner,
    collection: record.collection,
    ...(sha256 === null ? {} : { sha256 }),
    created: record.createdAt.toISOString(),
  }
}

const number = z
  .string()
  .regex(/^\d+(\.\d+)?$/)
  .transform(Number)
  .optional()
  .catch(undefined)

const metadataSchema = z.object({
  asset: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  width: number,
  height: number,
  duration: number,
})

/**
 * The facts of an object that was put for this asset; undefined where the object is not this asset's. A put is
 * all-or-nothing and hash-checked by the store, so an object that carries the asset's id carries its content.
 */
export function factsFromObject(record: AssetRecord, head: ObjectHead): ContentFacts | undefined {
  const parsed = metadataSchema.safeParse(head.metadata)
  if (!parsed.success || parsed.data.asset !== record.id || head.key !== record.key) return undefined
  const { sha256, width = null, height = null, duration = null } = parsed.data
  return { size: head.size, sha256, width, height, duration }
}
