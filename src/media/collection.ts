import { z } from 'zod'
import { attachmentOnly, canRunScript, mediaKindNames, normalizeAcceptEntry } from './content-type.ts'
import { KeepsakeError } from './errors.ts'
import { type KeyTemplate, parseKeyTemplate } from './key-template.ts'
import { parseDuration, parseSize } from './quantity.ts'

const attributeDefinition = z.strictObject({
  /** Refuse an asset without it. Default: false. */
  required: z.boolean().optional(),
  /** The whole (normalized) value must match this. The flags `g` and `y` mean nothing here. */
  pattern: z.instanceof(RegExp).optional(),
  /** Characters. Default: 256. */
  maxLength: z.int().min(1).max(1024).optional(),
  /**
   * How a value is written the same way always, on intake and in filters: `hex-address` drops a leading 0x and lowers
   * the case (a wallet address has one meaning in any case, EIP-55), and leaves alone what is not hexadecimal;
   * `lowercase` lowers the case.
   */
  normalize: z.enum(['hex-address', 'lowercase']).optional(),
})

const sizeInput = z.union([z.number(), z.string()])

const collectionDefinition = z.strictObject({
  /** The key template, see {@link parseKeyTemplate}. Default: `{collection}/{owner}/{yyyy}/{mm}/{dd}/{id}.{ext}`. */
  key: z.string().optional(),
  /** Accepted content: kinds (`image`), ranges (`image/*`) or types (`audio/mpeg`). Default: image, video, audio. */
  accept: z.array(z.string()).min(1).optional(),
  /** The largest asset, in bytes or as a text such as `'100 MB'`. Default: 100 MB. */
  maxSize: sizeInput.optional(),
  /** The attributes that an asset may carry. Others are refused. Default: none. */
  attributes: z.record(z.string().regex(/^[a-z][A-Za-z0-9_]{0,62}$/), attributeDefinition).optional(),
  /** `private`: signed links only. Default: private. */
  access: z.enum(['private', 'public']).optional(),
  /** How long an asset is kept, in seconds or as a text such as `'1y'`. Default: for ever. */
  keep: sizeInput.optional(),
  /** What one owner may have in this collection and all others together, in bytes. Default: no limit. */
  quota: sizeInput.optional(),
  /**
   * The attributes by which an owner has one asset at a time: a new one that is stored takes the place of the one with
   * the same values, which is deleted. `[]`: one asset for each owner. Default: nothing is replaced.
   */
  replaceBy: z.array(z.string()).optional(),
})

/** What a collection is declared with in `keepsake.config.ts`. */
export type CollectionDefinition = z.input<typeof collectionDefinition>
export type AttributeDefinition = z.input<typeof attributeDefinition>

/** A named group of assets under one policy, ready to use. */
export type Collection = {
  readonly name: string
  readonly key: KeyTemplate
  readonly accept: readonly string[]
  /** Bytes. */
  readonly maxSize: number
  readonly attributes: Readonly<Record<string, AttributeDefinition>>
  readonly access: 'private' | 'public'
  /** Seconds, or null for ever. */
  readonly keep: number | null
  /** Bytes an owner may use over all collections, or null for no limit. */
  readonly quota: number | null
  /** By which attributes a new asset takes the place of an owner's older one; null where none does. */
  readonly replaceBy: readonly string[] | null
}

const namePattern = /^[a-z][a-z0-9_-]{0,62}$/

/**
 * Checks a collection's definition and fills in the defaults.
 *
 * @throws {KeepsakeError} `invalid_setting`, naming the collection and the field.
 */
export function parseCollection(name: string, definition: CollectionDefinition): Collection {
  const refuse = (why: string, cause?: unknown): never => {
    throw new KeepsakeError('invalid_setting', `The collection '${name}' is refused: ${why}`, { cause })
  }
  if (!namePattern.test(name)) refuse('a name has lower-case letters, digits, _ and -, and starts with a letter.')
  const parsed = collectionDefinition.safeParse(definition)
  if (!parsed.success) return refuse(z.prettifyError(parsed.error), parsed.error)
  const given = parsed.data
  /** A field's own parser knows neither the collection nor the field: say both. */
  const field = <T>(label: string, parse: () => T): T => {
    try {
      return parse()
    } catch (error) {
      return refuse(`${label}: ${error instanceof Error ? error.message : error}`, error)
    }
  }
  const attributes = given.attributes ?? {}
  const accept = (given.accept ?? mediaKindNames).map((entry) => {
    const normalized = normalizeAcceptEntry(entry)
    if (normalized === undefined) {
      return refuse(
        `accept has '${entry}'. Allowed are ${mediaKindNames.join(', ')}, or a content type such as image/png.`,
      )
    }
    if (canRunScript(normalized) && !attachmentOnly(normalized)) {
      refuse(`accept has '${entry}', which can run a script in the reader's browser.`)
    }
    return normalized
  })
  const key = given.key ?? '{collection}/{owner}/{yyyy}/{mm}/{dd}/{id}.{ext}'
  const maxSize = field('maxSize', () => parseSize(given.maxSize ?? '100 MB'))
  if (maxSize < 1) refuse('maxSize must be at least 1 byte.')
  const keep = given.keep
  const seconds = keep === undefined ? null : field('keep', () => parseDuration(keep))
  if (seconds === 0) refuse('keep must be at least 1 second. Leave it out to keep assets for ever.')
  const quota = given.quota
  const undeclared = given.replaceBy?.find((attribute) => !Object.hasOwn(attributes, attribute))
  if (undeclared !== undefined) refuse(`replaceBy has '${undeclared}', which is none of its attributes.`)
  return {
    name,
    key: field('key', () => parseKeyTemplate(key, Object.keys(attributes))),
    accept,
    maxSize,
    attributes,
    access: given.access ?? 'private',
    keep: seconds,
    quota: quota === undefined ? null : field('quota', () => parseSize(quota)),
    replaceBy: given.replaceBy === undefined ? null : [...new Set(given.replaceBy)],
  }
}

/**
 * Attributes as the collection wants them: declared, normalized, complete.
 *
 * @throws {KeepsakeError} `invalid_request`, naming the attribute, what was found and what is allowed.
 */
export function parseAttributes(
  collection: Collection,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const declared = Object.keys(collection.attributes)
  for (const name of Object.keys(given)) {
    if (!declared.includes(name)) {
      throw new KeepsakeError(
        'invalid_request',
        `The attribute '${name}' is not declared for the collection '${collection.name}'. ` +
          `Declared: ${declared.length === 0 ? 'none' : declared.join(', ')}.`,
        { details: { attribute: name } },
      )
    }
  }
  const result: Record<string, string> = {}
  for (const [name, definition] of Object.entries(collection.attributes)) {
    const refuse = (why: string): never => {
      throw new KeepsakeError('invalid_request', `The attribute '${name}' ${why}`, { details: { attribute: name } })
    }
    const raw = Object.hasOwn(given, name) ? given[name] : undefined
    if (raw !== undefined && typeof raw !== 'string') return refuse('is not a text.')
    const value = raw === undefined ? undefined : normalizeAttribute(definition, raw)
    if (value === undefined || value === '') {
      if (definition.required) refuse(`is required by the collection '${collection.name}'.`)
      continue
    }
    const maxLength = definition.maxLength ?? 256
    if (value.length > maxLength) refuse(`has ${value.length} characters. Allowed are ${maxLength}.`)
    // Postgres text and S3 metadata hold no NUL; a lone surrogate has no UTF-8.
    if (value.includes('\0') || !value.isWellFormed()) refuse('has a character that cannot be stored.')
    if (definition.pattern && !matchesWhole(definition.pattern, value)) refuse(`does not match ${definition.pattern}.`)
    result[name] = value
  }
  return result
}

/**
 * By an expression of its own each time, because one with `g` or `y` remembers where the test before it ended. The ends
 * are told by looking for any character beyond them, because under `m` ^ and $ also meet the ends of lines.
 */
function matchesWhole(pattern: RegExp, value: string): boolean {
  return new RegExp(`(?<![^])(?:${pattern.source})(?![^])`, pattern.flags).test(value)
}

/** One attribute's value in the spelling that is stored; filters pass through here too. Doing it twice changes nothing. */
export function normalizeAttribute(definition: AttributeDefinition, value: string): string {
  const trimmed = value.trim()
  switch (definition.normalize) {
    case 'hex-address':
      return normalizeHexAddress(trimmed)
    case 'lowercase':
      return trimmed.toLowerCase()
    default:
      return trimmed
  }
}

/** A Solana or Tezos address is base58, where case has a meaning: only what is or claims to be hexadecimal is touched. */
function normalizeHexAddress(value: string): string {
  return /^(?:0x|[0-9a-f]*$)/i.test(value) ? value.replace(/^(?:0x\s*)+/i, '').toLowerCase() : value
}

/** The collection that is there without any configuration: what AI models make, by wallet, agent and model. */
export const defaultCollections = {
  generations: {
    key: 'ai-generated/{wallet}/{agent}/{kind}s/{model}/{date}/{time}_{id8}.{ext}',
    accept: ['image', 'video'],
    maxSize: '100 MB',
    attributes: { wallet: { normalize: 'hex-address' }, agent: {}, model: {} },
  },
} satisfies Record<string, CollectionDefinition>
