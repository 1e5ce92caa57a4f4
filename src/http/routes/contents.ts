import { type OpenAPIHono, z } from '@hono/zod-openapi'
import { KeepsakeError } from '../../media/index.ts'
import type { Keepsake } from '../../verbs.ts'
import { assetJson } from '../asset-json.ts'
import { type HttpContext, type HttpEnv, refuseOtherOwner } from '../env.ts'
import { openForm } from '../form.ts'
import type { Metrics } from '../metrics.ts'
import { answerInvalid } from '../problem.ts'
import { assetOutput, commonInput, idempotencyKeyText, strict } from '../schema.ts'
import { bearer, collectionParams, commonProblems, json, problem } from './contract.ts'

/** Bytes of a form around its file. */
const slack = 1024 * 1024

const fieldsInput = strict(commonInput)

/** As text: in a form and in a query alike. */
const described = z.object({
  owner: commonInput.owner,
  filename: commonInput.filename,
  attributes: z.string().optional().openapi({ description: 'JSON object. Or one field each: `attributes.model`.' }),
  provenance: z.string().optional().openapi({ description: 'JSON object.' }),
})

/**
 * The other door: media in the body of a request, streamed through this server into the bucket, for servers and
 * scripts. A browser takes a ticket.
 */
export function addContentRoute(app: OpenAPIHono<HttpEnv>, options: { keepsake: Keepsake; metrics: Metrics }): void {
  const file = z.string().openapi({ type: 'string', format: 'binary' })
  app.openAPIRegistry.registerPath({
    method: 'post',
    path: '/v1/collections/{collection}/assets',
    operationId: 'importContent',
    tags: ['Assets'],
    summary: 'Keep media that is in the body',
    description:
      'A form (`multipart/form-data`) with one file and its fields before it; or the bare bytes under their own ' +
      '`Content-Type`, with the fields in the query. Streamed, up to the collection’s `maxSize`. The bytes say what it is.',
    security: bearer,
    request: {
      params: collectionParams,
      query: described,
      headers: z.object({ 'Idempotency-Key': idempotencyKeyText.optional() }),
      body: {
        required: true,
        content: {
          'multipart/form-data': { schema: described.extend({ file }) },
          'application/octet-stream': { schema: file },
        },
      },
    },
    responses: {
      201: { ...json(assetOutput, 'Stored.'), headers: { Location: { schema: { type: 'string' } } } },
      ...commonProblems,
      403: problem('`forbidden`, `quota_exceeded`'),
      404: problem('`collection_not_found`'),
      409: problem('`idempotency_conflict`'),
      413: problem('`content_too_large`'),
      422: problem('`content_type_refused`, `content_empty`, `content_truncated`'),
    },
  })

  app.post('/v1/collections/:collection/assets', async (c) => {
    const collection = c.req.param('collection')
    const { keepsake, metrics } = options
    refuseTooLarge(c, keepsake.collections.get(collection)?.maxSize)
    const key = z.object({ 'idempotency-key': idempotencyKeyText.optional() }).safeParse(c.req.header())
    if (!key.success) return answerInvalid(c, 'header', key.error)
    const { place, texts, filename, bytes } = await open(c)
    const fields = fieldsInput.safeParse(fieldsOf(texts))
    if (!fields.success) return answerInvalid(c, place, fields.error)
    refuseOtherOwner(c.get('actor'), fields.data.owner)
    try {
      const asset = await c.get('verbs').import(collection, {
        ...fields.data,
        filename: fields.data.filename || filename || undefined,
        idempotencyKey: key.data['idempotency-key'],
        source: { bytes },
      })
      metrics.countImport(asset.state)
      c.header('Location', `/v1/assets/${asset.id}`)
      return c.json(assetJson(asset), 201)
    } catch (error) {
      metrics.countImport(KeepsakeError.from(error).code)
      throw error
    }
  })
}

type Opened = {
  readonly place: string
  readonly texts: ReadonlyMap<string, string>
  readonly filename: string | null
  readonly bytes: AsyncIterable<Uint8Array>
}

async function open(c: HttpContext): Promise<Opened> {
  const contentType = c.req.header('content-type') ?? ''
  const { body } = c.req.raw
  const query = new Map(Object.entries(c.req.query()))
  if (/^multipart\/form-data\b/i.test(contentType)) {
    const [odd] = query.keys()
    if (odd !== undefined) throw new KeepsakeError('invalid_request', `Send '${odd}' as a field of the form.`)
    const { fields, filename, file } = await openForm(contentType, body)
    return { place: 'json', texts: fields, filename, bytes: file }
  }
  if (/^(multipart\/|application\/x-www-form-urlencoded)/i.test(contentType)) {
    throw new KeepsakeError('unsupported_media_type', 'A form with a file is multipart/form-data.')
  }
  return { place: 'query', texts: query, filename: null, bytes: body ?? new Blob([]).stream() }
}

/** `attributes` and `provenance` are JSON; `attributes.model` and `attributes[model]` name one attribute each. */
function fieldsOf(texts: ReadonlyMap<string, string>): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  const attributes: Record<string, string> = {}
  for (const [name, text] of texts) {
    const attribute = /^attributes(?:\.(\w+)|\[(\w+)\])$/.exec(name)
    const attributeName = attribute?.[1] ?? attribute?.[2]
    if (attributeName !== undefined) attributes[attributeName] = text
    else fields[name] = name === 'attributes' || name === 'provenance' ? parseJson(name, text) : text
  }
  if (Object.keys(attributes).length > 0) fields.attributes = { ...Object(fields.attributes), ...attributes }
  return fields
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new KeepsakeError('invalid_request', `The field '${name}' is not JSON.`, { cause })
  }
}

/** Told before hundreds of megabytes have come; what counts in the end are the bytes that do. */
function refuseTooLarge(c: HttpContext, maxSize: number | undefined): void {
  const length = Number(c.req.header('content-length') ?? 0)
  if (maxSize === undefined || !(length > maxSize + slack)) return
  throw new KeepsakeError(
    'content_too_large',
    `The body has ${length} bytes; the collection takes media of up to ${maxSize}.`,
    { details: { maxSize, size: length } },
  )
}
