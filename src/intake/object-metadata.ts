import { z } from 'zod'
import { type AssetRecord, isAssetId } from '../media/index.ts'
import type { ObjectHead } from '../stores/index.ts'

/** What is true of the bytes, found out on the way in. */
export type ContentFacts = {
  readonly size: number
  readonly sha256: string
  readonly width: number | null
  readonly height: number | null
  readonly duration: number | null
}

/** What a row gives to its object. */
export type DescribedAsset = Pick<AssetRecord, 'id' | 'attempt' | 'owner' | 'collection' | 'createdAt' | 'attributes'>

/** S3 takes 2 KB of names and values (AWS, "Working with object metadata"); the rest is for what a store adds. */
const maxBytes = 1900

/**
 * What every object says about itself, so that a lost catalogue can be rebuilt from the bucket: whose it is, which
 * asset it holds by which attempt, since when, with which attributes, and what its bytes must hash to. Nothing that a
 * person wrote freely: no prompt, no file name. Attributes that would not fit are left out, all of them.
 */
export function objectMetadata(record: DescribedAsset, facts: ContentFacts): Record<string, string> {
  return describe(record, facts)
}

/** As much of it as is known before the bytes are here. The hash of an upload is its client's word for it. */
export function announcedMetadata(record: DescribedAsset, sha256: string | null): Record<string, string> {
  return describe(record, { sha256, width: null, height: null, duration: null })
}

type Announced = Pick<ContentFacts, 'width' | 'height' | 'duration'> & { readonly sha256: string | null }

function describe(record: DescribedAsset, { sha256, width, height, duration }: Announced): Record<string, string> {
  const measures = { width, height, duration }
  const metadata: Record<string, string> = {
    asset: record.id,
    owner: record.owner,
    collection: record.collection,
    ...(sha256 === null ? {} : { sha256 }),
    created: record.createdAt.toISOString(),
    // A first attempt goes without saying.
    ...(record.attempt > 1 ? { attempt: `${record.attempt}` } : {}),
    ...Object.fromEntries(
      Object.entries(measures).flatMap(([name, value]) => (value === null ? [] : [[name, `${value}`]])),
    ),
  }
  if (Object.keys(record.attributes).length === 0) return metadata
  const whole = { ...metadata, attributes: JSON.stringify(record.attributes) }
  return sizeOf(whole) <= maxBytes ? whole : metadata
}

/** Bytes as they travel: a value that is more than plain ASCII is percent-encoded, with some bytes to say so. */
function sizeOf(metadata: Readonly<Record<string, string>>): number {
  const isPlain = (value: string) => /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(value) && !value.includes('=?')
  const width = (value: string) => (isPlain(value) ? value.length : 7 + encodeURIComponent(value).length)
  return Object.entries(metadata).reduce((sum, [name, value]) => sum + name.length + width(value), 0)
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
export function factsFromObject(record: Pick<AssetRecord, 'id' | 'key'>, head: ObjectHead): ContentFacts | undefined {
  const parsed = metadataSchema.safeParse(head.metadata)
  if (!parsed.success || parsed.data.asset !== record.id || head.key !== record.key) return undefined
  const { sha256, width = null, height = null, duration = null } = parsed.data
  return { size: head.size, sha256, width, height, duration }
}

/** What an object says of the asset that it was put for, as far as it can be read. */
export type ObjectDescription = {
  readonly asset: string
  readonly attempt: number
  readonly owner: string
  readonly collection: string
  /** Null where nobody knew it when the object was put: a direct upload. */
  readonly sha256: string | null
  readonly createdAt: Date
  readonly attributes: Readonly<Record<string, string>>
  readonly width: number | null
  readonly height: number | null
  readonly duration: number | null
}

const storable = (max: number) =>
  z
    .string()
    .min(1)
    .refine((value) => Buffer.byteLength(value) <= max && !value.includes('\0') && value.isWellFormed())

const attributesText = z.string().transform((text, context) => {
  try {
    return z.record(z.string(), z.string()).parse(JSON.parse(text))
  } catch {
    context.addIssue({ code: 'custom', message: 'is no JSON object of texts' })
    return z.NEVER
  }
})

const pixels = number
  .pipe(
    z
      .int()
      .max(2 ** 31 - 1)
      .optional(),
  )
  .catch(undefined)

const descriptionSchema = z.object({
  asset: z.string().refine(isAssetId),
  attempt: z
    .string()
    .regex(/^[1-9]\d{0,8}$/)
    .transform(Number)
    .optional()
    .catch(undefined),
  owner: storable(1024),
  collection: storable(255),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  created: z.iso.datetime().optional().catch(undefined),
  attributes: attributesText.optional().catch(undefined),
  width: pixels,
  height: pixels,
  duration: number,
})

/**
 * What an object says about itself: `foreign` where it names no asset of Keepsake's, `invalid` where it names one and
 * the rest cannot be read.
 */
export function describeObject(head: Pick<ObjectHead, 'metadata'>): ObjectDescription | 'foreign' | 'invalid' {
  if (!isAssetId(head.metadata.asset ?? '')) return 'foreign'
  const parsed = descriptionSchema.safeParse(head.metadata)
  if (!parsed.success) return 'invalid'
  const { created, attempt = 1, sha256 = null, attributes = {}, ...rest } = parsed.data
  const { asset, owner, collection, width = null, height = null, duration = null } = rest
  const createdAt = created === undefined ? idTime(asset) : new Date(created)
  // A year of five digits is none that Postgres reads, nor one of ours.
  if (createdAt.getUTCFullYear() > 9999) return 'invalid'
  return { asset, attempt, owner, collection, sha256, createdAt, attributes, width, height, duration }
}

/** A UUIDv7 begins with the milliseconds in which it was made (RFC 9562, section 5.7). */
function idTime(id: string): Date {
  return new Date(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16))
}
