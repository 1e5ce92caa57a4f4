import { z } from '@hono/zod-openapi'
import { maxExpiresIn } from '../delivery/index.ts'
import { assetHealths, assetStates, errorTable, isAssetId, mediaKinds, storeNames } from '../media/index.ts'

/**
 * The words of the HTTP contract: every field that goes in or out, with its limits and what the documentation says.
 */

/** An object that refuses unknown fields by name and says which are known. */
export function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const known = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `${issue.keys.map((key) => `'${key}'`).join(', ')} is not known here. ` +
          `Known: ${known.length === 0 ? 'none' : known.join(', ')}.`
        : undefined,
  })
}

/** Text that every part behind can hold: Postgres refuses NUL, UTF-8 has no lone surrogates. */
function anyText(maxLength: number) {
  return z
    .string()
    .max(maxLength, `must not have more than ${maxLength} characters`)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), 'has a character that cannot be stored')
}

function text(maxLength: number) {
  return anyText(maxLength).min(1, 'must not be empty')
}

export const ownerText = text(256).openapi({
  description: 'Who the asset belongs to: with a JWT always its `sub`.',
  example: 'user_42',
})

export const assetIdText = z
  .string()
  .refine(isAssetId, 'must be an asset id: a UUIDv7 in lower case')
  .openapi({ format: 'uuid', example: '0198c0de-7a11-7b52-8c3d-0123456789ab' })

const firstYear = 1970
const lastYear = 9999

/** RFC 3339, section 5.6, within what a timestamp column and JavaScript agree on. */
export const timestampText = z.iso
  .datetime({
    offset: true,
    error: 'must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z (in a query, write + as %2B)',
  })
  .transform((value) => new Date(value))
  .refine((date) => date.getUTCFullYear() >= firstYear && date.getUTCFullYear() <= lastYear, 'must be in 1970 to 9999')
  .openapi({ type: 'string', format: 'date-time', example: '2026-01-31T12:00:00Z' })

function integerText(minimum: number, maximum: number) {
  const message = `must be an integer from ${minimum} to ${maximum}`
  return z
    .string()
    .regex(/^\d{1,6}$/, message)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, message)
    .openapi({ type: 'integer', minimum, maximum })
}

const expiresInMessage = `must be an integer from 1 to ${maxExpiresIn} (seconds)`
const expiresInDescription =
  'Seconds that the link works at most: they are counted from a rounded time. Default: the server’s setting.'

export const expiresInNumber = z
  .int(expiresInMessage)
  .min(1, expiresInMessage)
  .max(maxExpiresIn, expiresInMessage)
  .openapi({ description: expiresInDescription, example: 900 })

export const expiresInText = integerText(1, maxExpiresIn).openapi({ description: expiresInDescription, example: 900 })

export const variantText = text(64).openapi({ description: 'The name of a derived image.', example: 'thumbnail' })

export const flagText = z
  .enum(['', 'true', 'false', '1', '0'])
  .transform((value) => value !== 'false' && value !== '0')
  .openapi({ type: 'boolean', description: 'Open as a download, under the asset’s filename.' })

export const limitText = integerText(1, 1000).openapi({ description: 'Entries a page.', default: 50 })

export const cursorText = z
  .string()
  .regex(/^[\x21-\x7e]{1,2048}$/, 'must be the nextCursor of the page before')
  .openapi({ description: 'The `nextCursor` of the page before.' })

const maxNesting = 32
const maxProvenanceBytes = 64 * 1024

/** Walks without recursion: a stranger chooses the depth. */
function isStorableJson(root: unknown): boolean {
  const queue: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { value, depth } = next
    if (depth > maxNesting) return false
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) return false
    if (typeof value === 'number' && !Number.isFinite(value)) return false
    if (typeof value !== 'object' || value === null) continue
    for (const [key, entry] of Object.entries(value)) {
      if (key.includes('\0') || !key.isWellFormed()) return false
      queue.push({ value: entry, depth: depth + 1 })
    }
  }
  return true
}

const provenanceFields = strict({
  provider: anyText(256).optional().openapi({ example: 'replicate' }),
  model: anyText(256).optional().openapi({ example: 'flux-1.1-pro' }),
  prompt: anyText(32_768).optional().openapi({ example: 'a lighthouse at dusk' }),
  settings: z
    .record(z.string(), z.unknown())
    .optional()
    .openapi({ type: 'object', additionalProperties: true, example: { steps: 28 } }),
  seed: z
    .union([anyText(256), z.number()])
    .optional()
    .openapi({ example: 1234 }),
  requestId: anyText(256).optional().openapi({ description: 'The provider’s id of the request.' }),
  parents: z
    .array(assetIdText)
    .max(1000)
    .optional()
    .openapi({ description: 'The assets that this one was made from.' }),
})

export const provenanceInput = provenanceFields
  .refine(isStorableJson, `has a character that cannot be stored, or more than ${maxNesting} levels`)
  .refine(
    (value) => !isStorableJson(value) || Buffer.byteLength(JSON.stringify(value)) <= maxProvenanceBytes,
    `must not have more than ${maxProvenanceBytes} bytes`,
  )
  .openapi('Provenance', { description: 'How the media was made. Kept as given, never sent to the bucket.' })

/** One object with three alternatives, not a union: its errors then name the field that is wrong. */
const sourceInput = strict({
  url: z.string().min(1, 'must not be empty').max(16_384).optional().openapi({
    description: 'Fetched by the server: https, a public address, following redirects.',
    example: 'https://replicate.delivery/pbxt/abc/out-0.png',
  }),
  expiresAt: timestampText.optional().openapi({ description: 'When the URL dies, where it does not say so itself.' }),
  dataUri: z.string().optional().openapi({ description: 'RFC 2397.', example: 'data:image/png;base64,iVBORw0KGgo=' }),
  base64: z.string().optional().openapi({ description: 'RFC 4648, standard or URL-safe.', example: 'iVBORw0KGgo=' }),
})
  .superRefine((source, context) => {
    const given = (['url', 'dataUri', 'base64'] as const).filter((name) => source[name] !== undefined)
    if (given.length !== 1) {
      const found = given.length === 0 ? 'none was' : `${given.join(' and ')} were`
      context.addIssue({ code: 'custom', message: `needs exactly one of url, dataUri and base64; ${found} given` })
    }
    if (source.expiresAt !== undefined && source.url === undefined) {
      context.addIssue({ code: 'custom', path: ['expiresAt'], message: 'only goes with url' })
    }
  })
  .openapi('ImportSource', { description: 'Exactly one of `url`, `dataUri` and `base64`.' })

const keepInput = z.union([z.number().min(1), z.string().min(1).max(64), z.null()]).openapi({
  description:
    'How long to keep it, from when it was stored: seconds or a text; null for ever. A user may only shorten what holds.',
  example: '30d',
})

/** What every way in takes beside the content. */
export const commonInput = {
  owner: ownerText.optional(),
  attributes: z
    .record(z.string(), z.string())
    .optional()
    .openapi({ description: 'Those that the collection declares.', example: { wallet: '0x52908400098527886E0F7030' } }),
  provenance: provenanceInput.optional(),
  filename: anyText(1024)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must not have control characters')
    .optional()
    .openapi({ description: 'What a download is called.', example: 'lighthouse.png' }),
  keep: keepInput.optional(),
} as const

export const importInput = strict({ source: sourceInput, ...commonInput }).openapi('ImportRequest')

export const uploadInput = strict({
  contentType: text(300).openapi({
    description: 'What the file is said to be; the collection must accept it. The bytes decide in the end.',
    example: 'image/png',
  }),
  size: z
    .int('must be a whole number of bytes')
    .min(0)
    .optional()
    .openapi({ description: 'Bytes, exactly. Only a `plain` upload may do without.', example: 482_133 }),
  plain: z.boolean().optional().openapi({
    description: 'For a client that sends the file and its `Content-Type`, and no other header. Always in one piece.',
  }),
  sameType: z.boolean().optional().openapi({
    description: 'Refuse bytes of another type than was announced, although the collection takes it.',
  }),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
    .optional()
    .openapi({ description: 'SHA-256 of the file, where it is known: 64 lower-case hex digits.' }),
  ...commonInput,
}).openapi('UploadRequest')

export const uploadPartsInput = strict({
  partNumbers: z
    .array(z.int().min(1).max(10_000))
    .min(1, 'must name at least one part')
    .max(1000, 'must not have more than 1000 entries'),
}).openapi('UploadPartsRequest')

export const completeUploadInput = strict({
  parts: z
    .array(strict({ partNumber: z.int().min(1).max(10_000), etag: text(200) }))
    .max(10_000)
    .optional()
    .openapi({ description: 'The ETags that the store answered, to be compared with what it has. May be left out.' }),
  attributes: z
    .record(z.string(), z.string())
    .optional()
    .openapi({ description: 'Those that were not known when the upload began; the key stays what it is.' }),
}).openapi('CompleteUploadRequest')

export const assetChangesInput = strict({
  keep: keepInput.optional(),
  pinned: z
    .boolean()
    .optional()
    .openapi({ description: 'Whether retention and clean-ups leave it alone. For an API key.' }),
}).openapi('AssetChanges', { description: 'What is left out stays as it is.' })

export const idempotencyKeyText = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must have 1 to 255 visible ASCII characters')
  .openapi({ description: 'The same request under the same key gives the same asset, however often.' })

export const urlsInput = strict({
  assets: z
    .array(strict({ id: z.string().max(255), variant: variantText.optional() }))
    .min(1, 'must name at least one asset')
    .max(1000, 'must not have more than 1000 entries'),
  expiresIn: expiresInNumber.optional(),
}).openapi('UrlsRequest')

// What goes out.

const timestampOut = z.string().openapi({ format: 'date-time', example: '2026-01-31T12:00:00.000Z' })
const errorCodes = Object.keys(errorTable)

export const assetOutput = z
  .strictObject({
    id: z.string().openapi({ format: 'uuid', example: '0198c0de-7a11-7b52-8c3d-0123456789ab' }),
    collection: z.string().openapi({ example: 'generations' }),
    owner: z.string().openapi({ example: 'user_42' }),
    state: z
      .enum(assetStates)
      .openapi({ description: '`stored`: safe in the bucket. `pending`: Keepsake goes on trying.' }),
    health: z.enum(assetHealths).openapi({ description: 'Whether the object was found as the catalogue says.' }),
    kind: z.enum(mediaKinds).nullable(),
    key: z.string().nullable().openapi({ description: 'The object’s key; null until the first bytes were seen.' }),
    store: z.enum(storeNames),
    contentType: z
      .string()
      .nullable()
      .openapi({ description: 'What the bytes are, not what a header said.', example: 'image/png' }),
    size: z.int().nullable().openapi({ description: 'Bytes.', example: 482_133 }),
    sha256: z.string().nullable().openapi({ description: '64 lower-case hex digits.' }),
    width: z.int().optional().openapi({ description: 'Pixels.' }),
    height: z.int().optional().openapi({ description: 'Pixels.' }),
    duration: z.number().optional().openapi({ description: 'Seconds.' }),
    attributes: z.record(z.string(), z.string()),
    provenance: z.looseObject({}).openapi({ type: 'object', description: 'As it was given.' }),
    filename: z.string().optional(),
    url: z.string().nullable().openapi({ description: 'Opens the media now. A secret: whoever has it may use it.' }),
    urlSource: z.enum(['store', 'public', 'origin']).nullable().openapi({
      description:
        '`store`: a signed link, to the bucket or the CDN before it. `public`: a plain one that does not end. `origin`: the original URL, while pending.',
    }),
    urlExpiresAt: timestampOut.nullable(),
    createdAt: timestampOut,
    storedAt: timestampOut.nullable(),
    expiresAt: timestampOut.optional().openapi({ description: 'When retention ends, unless it is pinned.' }),
    pinned: z.literal(true).optional().openapi({ description: 'Retention and clean-ups leave it alone.' }),
    checkedAt: timestampOut.optional().openapi({ description: 'When verify last looked at the object.' }),
    problem: z
      .strictObject({ code: z.string(), message: z.string() })
      .optional()
      .openapi({ description: 'Why it is not stored.' }),
  })
  .openapi('Asset')

export const assetPageOutput = z
  .strictObject({
    assets: z.array(assetOutput),
    nextCursor: z.string().nullable().openapi({ description: 'null on the last page.' }),
  })
  .openapi('AssetPage')

const headersOut = z
  .record(z.string(), z.string())
  .openapi({ description: 'To be sent exactly so. The length of the body is signed too, and goes by itself.' })

const partOutput = z
  .strictObject({
    partNumber: z.int(),
    method: z.literal('PUT'),
    url: z.string().openapi({ description: 'A secret: whoever has it may send this part.' }),
    headers: headersOut.optional(),
    expiresAt: timestampOut,
  })
  .openapi('UploadPart')

export const uploadPartsOutput = z.strictObject({ parts: z.array(partOutput) }).openapi('UploadParts')

export const uploadTicketOutput = z.union([
  z.strictObject({
    strategy: z.literal('put'),
    method: z.literal('PUT'),
    url: z.string().openapi({ description: 'A secret: whoever has it may send this file.' }),
    headers: headersOut,
    expiresAt: timestampOut,
  }),
  z.strictObject({
    strategy: z.literal('multipart'),
    partSize: z.int().openapi({ description: 'Bytes of every part but the last, which has what remains.' }),
    partCount: z.int(),
    parts: z.array(partOutput).openapi({ description: 'The first ones, up to 100; more by `/v1/uploads/{id}/parts`.' }),
    expiresAt: timestampOut.openapi({ description: 'Until when it may be gone on with; put off by each look.' }),
  }),
])

export const uploadOutput = z
  .strictObject({
    asset: assetOutput,
    upload: uploadTicketOutput
      .nullable()
      .openapi({ description: 'null where the upload is over: the asset’s state tells how.' }),
  })
  .openapi('Upload')

export const uploadStatusOutput = z
  .strictObject({
    asset: assetOutput,
    upload: uploadTicketOutput.nullable(),
    uploadedParts: z.array(z.strictObject({ partNumber: z.int(), etag: z.string(), size: z.int() })),
  })
  .openapi('UploadStatus')

export const urlsOutput = z
  .strictObject({
    urls: z.array(
      z.union([
        z.strictObject({ id: z.string(), url: z.string(), expiresAt: timestampOut }),
        z.strictObject({ id: z.string(), code: z.string().openapi({ example: 'asset_not_found' }) }),
      ]),
    ),
  })
  .openapi('Urls', { description: 'In the order asked. An asset without a link has the error’s code in place.' })

export const auditPageOutput = z
  .strictObject({
    entries: z.array(
      z.strictObject({
        id: z.string(),
        at: timestampOut,
        action: z.string().openapi({ example: 'url.issued' }),
        asset: z.string(),
        owner: z.string(),
        collection: z.string(),
        actor: z.string().openapi({ description: '`service`, `system`, or `user:<owner>`.' }),
        requestId: z.string().optional(),
        detail: z.looseObject({}).openapi({ type: 'object', description: 'Facts without secrets.' }),
      }),
    ),
    nextCursor: z.string().nullable(),
  })
  .openapi('AuditPage')

export const collectionsOutput = z
  .strictObject({
    collections: z.array(
      z.strictObject({
        name: z.string().openapi({ example: 'generations' }),
        key: z.string().openapi({ description: 'The key template.' }),
        accept: z.array(z.string()).openapi({ example: ['image', 'video'] }),
        maxSize: z.int().openapi({ description: 'Bytes.', example: 100_000_000 }),
        attributes: z.record(
          z.string(),
          z.strictObject({
            required: z.boolean(),
            maxLength: z.int(),
            pattern: z.string().optional(),
            normalize: z.string().optional(),
          }),
        ),
        access: z.enum(['private', 'public']),
        keep: z.int().nullable().openapi({ description: 'Seconds, or null for ever.' }),
        quota: z.int().nullable().openapi({ description: 'Bytes an owner may use, or null for no limit.' }),
        replaceBy: z
          .array(z.string())
          .optional()
          .openapi({ description: 'A new asset takes the place of the owner’s one with the same values of these.' }),
      }),
    ),
  })
  .openapi('Collections')

export const deletingOutput = z.strictObject({ id: z.string(), state: z.literal('deleting') }).openapi('Deleting')

export const readinessOutput = z
  .strictObject({
    ready: z.boolean(),
    status: z.enum(['ok', 'degraded', 'down']).openapi({
      description: '`degraded`: the bucket fails, and the local store takes what comes in.',
    }),
    parts: z.array(z.strictObject({ name: z.string(), ok: z.boolean(), code: z.string().optional() })),
  })
  .openapi('Readiness')

export const problemOutput = z
  .looseObject({
    type: z.string().openapi({ format: 'uri-reference', example: '/docs/errors#asset_not_found' }),
    title: z.string().openapi({ example: 'There is no such asset' }),
    status: z.int().openapi({ example: 404 }),
    detail: z.string().openapi({ description: 'What is wrong, what was found, and what to do.' }),
    code: z.string().openapi({ enum: errorCodes, example: 'asset_not_found' }),
    requestId: z.string().openapi({ description: 'Stands in the server’s log too.' }),
    errors: z
      .array(z.strictObject({ path: z.string(), message: z.string() }))
      .optional()
      .openapi({ description: 'The fields that are wrong, for `invalid_request`.' }),
  })
  .openapi('Problem', { description: 'RFC 9457 problem details.' })
