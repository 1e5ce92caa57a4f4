import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Actor } from '../catalogue/index.ts'
import { type Collection, KeepsakeError, type Provenance, parseAttributes } from '../media/index.ts'
import type { ImportSource } from './source.ts'
import { fingerprintSource } from './source-fingerprint.ts'

/** Text that Postgres and JSON can hold: no NUL, no half of a surrogate pair. */
const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !value.includes('\0') && value.isWellFormed(), 'has a character that cannot be stored')

const maxProvenanceBytes = 65_536

const provenanceSchema = z.strictObject({
  provider: text(256).optional(),
  model: text(256).optional(),
  prompt: text(32_768).optional(),
  settings: z.record(z.string(), z.json()).optional(),
  seed: z.union([text(256), z.number()]).optional(),
  requestId: text(256).optional(),
  parents: z.array(z.uuid()).max(1000).optional(),
})

/** What every way in takes beside the content. */
export const commonFields = {
  owner: text(256).min(1).optional(),
  attributes: z.record(z.string(), z.string()).optional(),
  provenance: provenanceSchema.optional(),
  filename: text(1024).optional(),
  idempotencyKey: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
    .optional(),
}

const importSchema = z.strictObject({
  source: z.custom<ImportSource>((value) => typeof value === 'object' && value !== null),
  ...commonFields,
})

export type CommonRequest = {
  /** Default: the user of `keepsake.as`, else `default`. A user may only name itself. */
  readonly owner?: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly provenance?: Provenance
  /** What a download is called. */
  readonly filename?: string
  /** 1 to 255 visible ASCII characters. The same request under the same key gives the same asset, however often. */
  readonly idempotencyKey?: string
}

export type ImportRequest = CommonRequest & { readonly source: ImportSource }

/** The same, checked. */
export type CommonFacts = {
  readonly owner: string
  readonly attributes: Readonly<Record<string, string>>
  readonly provenance: Provenance
  readonly filename: string | null
}

export type Idempotency = { readonly key: string; readonly fingerprint: string }

/** A checked import request. */
export type Import = CommonFacts & { readonly source: ImportSource; readonly idempotency: Idempotency | null }

/** The owner of what a service makes without naming one. */
export const defaultOwner = 'default'

/**
 * Checks an import request.
 *
 * @throws `invalid_request`; `forbidden` where a user names another owner.
 */
export async function parseImport(collection: Collection, request: ImportRequest, actor: Actor): Promise<Import> {
  const parsed = importSchema.safeParse(request)
  if (!parsed.success) {
    throw new KeepsakeError('invalid_request', `The import is not valid: ${z.prettifyError(parsed.error)}`)
  }
  const { source, idempotencyKey } = parsed.data
  const facts = checkCommon(collection, parsed.data, actor)
  if (idempotencyKey === undefined) return { source, ...facts, idempotency: null }
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([collection.name, await fingerprintSource(source), facts]))
    .digest('hex')
  return { source, ...facts, idempotency: { key: idempotencyKey, fingerprint } }
}

/**
 * Checks what every way in takes beside the content.
 *
 * @throws `invalid_request`; `forbidden` where a user names another owner.
 */
export function checkCommon(
  collection: Collection,
  given: Omit<CommonRequest, 'idempotencyKey'>,
  actor: Actor,
): CommonFacts {
  const { filename, provenance = {} } = given
  if (actor.role === 'user' && given.owner !== undefined && given.owner !== actor.owner) {
    throw new KeepsakeError('forbidden', 'A user may only act for itself. Leave owner out, or use an API key.')
  }
  if (provenance.settings !== undefined) checkJson(provenance.settings)
  if (Buffer.byteLength(JSON.stringify(provenance)) > maxProvenanceBytes) {
    throw new KeepsakeError('invalid_request', `The provenance has more than ${maxProvenanceBytes} bytes of JSON.`)
  }
  return {
    owner: actor.role === 'user' ? actor.owner : (given.owner ?? defaultOwner),
    attributes: parseAttributes(collection, given.attributes ?? {}),
    provenance,
    filename: filename === undefined ? null : cleanFilename(filename),
  }
}

/** The last part of a path, without what no file system takes; null where nothing is left. */
function cleanFilename(filename: string): string | null {
  const base = filename.split(/[/\\]/).at(-1) ?? ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed.
  const clean = base.replace(/[\x00-\x1f\x7f]/g, '').trim()
  // A character beyond the basic plane is two code units: half of one could not be stored.
  const short = clean.slice(0, 255).replace(/[\ud800-\udbff]$/, '')
  return short === '' || short === '.' || short === '..' ? null : short
}

/** Postgres jsonb refuses NUL and lone surrogates in any string; say so before it does. */
function checkJson(value: unknown, depth = 0): void {
  if (depth > 64) throw new KeepsakeError('invalid_request', 'provenance.settings is nested more than 64 levels deep.')
  if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
    throw new KeepsakeError('invalid_request', 'provenance.settings has a character that cannot be stored.')
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    checkJson(name, depth + 1)
    checkJson(inner, depth + 1)
  }
}
