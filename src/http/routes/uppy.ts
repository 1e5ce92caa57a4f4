import { type OpenAPIHono, z } from '@hono/zod-openapi'
import { KeepsakeError } from '../../media/index.ts'
import { multipartLimits } from '../../stores/index.ts'
import type { Keepsake } from '../../verbs.ts'
import { assetJson } from '../asset-json.ts'
import { readJsonBody } from '../body.ts'
import type { HttpContext, HttpEnv } from '../env.ts'
import { openForm } from '../form.ts'
import { requireAssetId } from './contract.ts'

const bodyLimit = 2 * 1024 * 1024

const metadata = z.record(z.string(), z.unknown()).nullish()

const beginInput = z.object({ filename: z.string().min(1), type: z.string().optional(), metadata })

const completeInput = z.object({
  parts: z.array(z.object({ PartNumber: z.int(), ETag: z.string() })).optional(),
})

const attributesText = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text)
    } catch {
      context.addIssue({ code: 'custom', message: 'is not JSON' })
      return z.NEVER
    }
  })
  .pipe(z.record(z.string(), z.string()))

const wholeNumber = z.union([
  z.int(),
  z
    .string()
    .regex(/^\d{1,16}$/)
    .transform(Number),
])

/**
 * What `@uppy/aws-s3` asks of its `companionEndpoint` (as of 6.3), with what Companion leaves out: every call is bound to the caller's own
 * uploads, the type, the size and the quota are held, and nothing is stored before it was read. The collection is in
 * the path: `companionEndpoint: '/api/media/uppy/photos'`.
 *
 * Uppy's upload id is the asset's. It never says how large a file is, so the page puts that into the file's metadata.
 */
export function addUppyRoutes(app: OpenAPIHono<HttpEnv>, options: { keepsake: Keepsake; basePath: string }): void {
  const { keepsake, basePath } = options
  const at = '/uppy/:collection/s3'

  /** A small file goes by a form. A form policy of S3 cannot be create-only, so it comes to us, and streams through. */
  app.get(`${at}/params`, (c) => {
    const query = new URL(c.req.url).searchParams
    const given: Record<string, string> = {}
    for (const [name, value] of query) {
      const inner = /^metadata\[(.+)\]$/.exec(name)?.[1]
      if (inner !== undefined) given[inner] = value
    }
    const filename = query.get('filename') ?? ''
    if (filename === '') throw new KeepsakeError('invalid_request', 'The query has no filename.')
    const { attributes, owner } = declared(keepsake, c.req.param('collection'), given)
    const fields = {
      // Uppy wants one; the true key is made by the server.
      key: filename,
      filename,
      ...(owner === undefined ? {} : { owner }),
      ...(Object.keys(attributes).length === 0 ? {} : { attributes: JSON.stringify(attributes) }),
    }
    const path = `${basePath}/uppy/${encodeURIComponent(c.req.param('collection'))}/s3/form`
    return c.json({ method: 'POST', url: originOf(c) + path, fields, headers: {} }, 200)
  })

  app.post(`${at}/form`, async (c) => {
    const { fields, filename, file } = await openForm(c.req.header('content-type') ?? '', c.req.raw.body)
    const attributes = parse(attributesText, fields.get('attributes') ?? '{}')
    const owner = fields.get('owner')
    const asset = await c.get('verbs').import(c.req.param('collection'), {
      source: { bytes: file },
      attributes,
      ...(owner === undefined ? {} : { owner }),
      filename: fields.get('filename') ?? filename ?? undefined,
    })
    c.header('ETag', `"${asset.sha256}"`)
    return c.json(done(c, basePath, asset.id, asset.key), 201)
  })

  app.post(`${at}/multipart`, readJsonBody(bodyLimit), async (c) => {
    const { filename, type, metadata: given } = parse(beginInput, await c.req.json())
    const name = c.req.param('collection')
    const size = wholeNumber.safeParse(given?.size)
    if (!size.success) {
      throw new KeepsakeError(
        'invalid_request',
        "Uppy does not say how large the file is. Tell it in the page: uppy.on('file-added', (file) => " +
          'uppy.setFileMeta(file.id, { size: file.size })).',
      )
    }
    const partSize = given?.partSize === undefined ? uppyPartSize(size.data) : parse(wholeNumber, given.partSize)
    const { asset, upload } = await c.get('verbs').upload(name, {
      contentType: type ?? 'application/octet-stream',
      size: size.data,
      partSize,
      filename,
      ...declared(keepsake, name, given ?? {}),
    })
    if (upload === null) throw new KeepsakeError('internal', 'A new upload has no ticket.')
    return c.json({ key: asset.key, uploadId: asset.id, bucket: '' }, 200)
  })

  app.get(`${at}/multipart/:id`, async (c) => {
    const { uploadedParts } = await c.get('verbs').uploadStatus(requireAssetId(c.req.param('id')))
    return c.json(
      uploadedParts.map(({ partNumber, etag, size }) => ({ PartNumber: partNumber, ETag: etag, Size: size })),
      200,
    )
  })

  app.get(`${at}/multipart/:id/:partNumber{[0-9]+}`, async (c) => {
    const id = requireAssetId(c.req.param('id'))
    const [part] = await c.get('verbs').uploadParts(id, [Number(c.req.param('partNumber'))])
    return c.json({ url: part?.url, expires: secondsUntil(part?.expiresAt) }, 200)
  })

  app.get(`${at}/multipart/:id/batch`, async (c) => {
    const id = requireAssetId(c.req.param('id'))
    const numbers = (c.req.query('partNumbers') ?? '').split(',').map(Number)
    const parts = await c.get('verbs').uploadParts(id, numbers)
    return c.json({ presignedUrls: Object.fromEntries(parts.map(({ partNumber, url }) => [partNumber, url])) }, 200)
  })

  app.post(`${at}/multipart/:id/complete`, readJsonBody(bodyLimit, { optional: true }), async (c) => {
    const id = requireAssetId(c.req.param('id'))
    const { parts } = parse(completeInput, await c.req.json().catch(() => ({})))
    const named = parts?.map(({ PartNumber, ETag }) => ({ partNumber: PartNumber, etag: ETag }))
    const asset = await c.get('verbs').completeUpload(id, named === undefined ? {} : { parts: named })
    return c.json({ ...done(c, basePath, asset.id, asset.key), asset: assetJson(asset) }, 200)
  })

  app.delete(`${at}/multipart/:id`, async (c) => {
    await c.get('verbs').abortUpload(requireAssetId(c.req.param('id')))
    return c.json({}, 200)
  })
}

/** What becomes of an upload, in Uppy's words: `location` is the address that an app may store. */
function done(c: HttpContext, basePath: string, id: string, key: string | null) {
  return { location: `${originOf(c)}${basePath}/v1/assets/${id}/content`, key, bucket: '', id }
}

/** A file's metadata is full of what a page needs; only what the collection declares is kept. */
function declared(keepsake: Keepsake, name: string, given: Readonly<Record<string, unknown>>) {
  const collection = keepsake.collections.get(name)
  if (collection === undefined) throw new KeepsakeError('collection_not_found', 'There is no such collection.')
  const attributes: Record<string, string> = {}
  for (const attribute of Object.keys(collection.attributes)) {
    const value = Object.hasOwn(given, attribute) ? given[attribute] : undefined
    if (typeof value === 'string' && value !== '') attributes[attribute] = value
  }
  return { attributes, ...(typeof given.owner === 'string' ? { owner: given.owner } : {}) }
}

/** S3Uploader.ts of @uppy/aws-s3 6.3: 5 MiB, or what makes 10000 parts. `getChunkSize` in the page goes with `meta.partSize`. */
function uppyPartSize(size: number): number {
  return Math.max(multipartLimits.minPartSize, Math.ceil(size / multipartLimits.maxParts))
}

/**
 * As the browser reaches it. A proxy says so where it changes the host or ends TLS; a framework may know its own address
 * alone, as Next does, whose requests are all for `localhost`, and then the header tells.
 */
function originOf(c: HttpContext): string {
  const url = new URL(c.req.url)
  const first = (name: string) => c.req.header(name)?.split(',', 1)[0]?.trim() ?? ''
  const protocol = first('x-forwarded-proto') === 'https' ? 'https:' : url.protocol
  const host = first('x-forwarded-host') || first('host') || url.host
  return URL.parse(`${protocol}//${host}`)?.origin ?? url.origin
}

function secondsUntil(at: Date | undefined): number {
  return at === undefined ? 0 : Math.max(0, Math.floor((at.getTime() - Date.now()) / 1000))
}

function parse<T>(schema: z.ZodType<T>, given: unknown): T {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new KeepsakeError('invalid_request', `The request is not as Uppy makes it: ${z.prettifyError(parsed.error)}`)
}
