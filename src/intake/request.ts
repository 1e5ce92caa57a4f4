import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Actor } from '../catalogue/index.ts'
import { type Collection, KeepsakeError, type Provenance, parseAttributes } from '../media/index.ts'
import { type KeepFor, requestedKeep } from './keep-for.ts'
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

const importSchema = z.strictObject({
  source: z.custom<ImportSource>((value) => typeof value === 'object' && value !== null),
  owner: text(256).min(1).optional(),
  attributes: z.record(z.string(), z.string()).optional(),
  provenance: provenanceSchema.optional(),
  filename: text(1024).optional(),
  idempotencyKey: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
    .optional(),
  keep: z.union([z.number(), z.string(), z.null()]).optional(),
})

export type ImportRequest = {
  readonly source: ImportSource
  /** Default: the user of `keepsake.as`, else `default`. A user may only name itself. */
  readonly owner?: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly provenance?: Provenance
  /** What a download is called. */
  readonly filename?: string
  /** 1 to 255 visible ASCII characters. The same request under the same key gives the same asset, however often. */
  readonly idempotencyKey?: string
  /**
   * How long to keep it once it is stored: seconds or a text such as `'30d'`; null for ever. Default: as the collection
   * says. A user may only ask for less than that.
   */
  readonly keep?: KeepFor | undefined
}

/** A checked import request. */
export type Import = {
  readonly source: ImportSource
  readonly owner: string
  readonly attributes: Readonly<Record<string, string>>
  readonly provenance: Provenance
  readonly filename: string | null
  /** Seconds, 0 for ever; left out as the collection says. */
  readonly keep?: number
  readonly idempotency: { readonly key: string; readonly fingerprint: string } | null
}

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
  const { source, filename, idempotencyKey, provenance = {} } = parsed.data
  if (actor.role === 'user' && parsed.data.owner !== undefined && parsed.data.owner !== actor.owner) {
    throw new KeepsakeError('forbidden', 'A user may only import for itself. Leave owner out, or use an API key.')
  }
  if (provenance.settings !== undefined) checkJson(provenance.settings)
  if (Buffer.byteLength(JSON.stringify(provenance)) > maxProvenanceBytes) {
    throw new KeepsakeError('invalid_request', `The provenance has more than ${maxProvenanceBytes} bytes of JSON.`)
  }
  const owner = actor.role === 'user' ? actor.owner : (parsed.data.owner ?? defaultOwner)
  const attributes = parseAttributes(collection, parsed.data.attributes ?? {})
  const keep = requestedKeep(parsed.data.keep, collection, actor)
  const cleaned = {
    owner,
    attributes,
    provenance,
    filename: filename === undefined ? null : cleanFilename(filename),
    ...(keep === undefined ? {} : { keep }),
  }
  if (idempotencyKey === undefined) return { source, ...cleaned, idempotency: null }
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([collection.name, await fingerprintSource(source), cleaned]))
    .digest('hex')
  return { source, ...cleaned, idempotency: { key: idempotencyKey, fingerprint } }
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
