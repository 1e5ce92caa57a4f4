import { createRoute, z } from '@hono/zod-openapi'
import { type HttpExtension, invalidRequest, openForm } from '../../http/index.ts'
import { type Asset, type Extension, type Keepsake, KeepsakeError } from '../../index.ts'
import { mediaPath } from './image-storage.ts'
import { Images } from './images.ts'
import { collections, type Folder, folders, isFolder, placeOf, placeOfKey } from './places.ts'

export type ProfileMediaOptions = {
  /** Folders whose current images anybody may open who knows or guesses a name, as in the document's bucket. Default: none. */
  readonly public?: readonly Folder[]
}

type App = Parameters<HttpExtension['routes']>[0]
type OpenApp = Parameters<NonNullable<HttpExtension['publicRoutes']>>[0]

/** Avatars, thumbnails and uploads under names that stay: `/media/avatars/user_1_avatar.jpg`. */
export function profileMedia(options: ProfileMediaOptions = {}): Extension {
  const open = options.public ?? []
  return {
    name: 'profile-media',
    collections,
    http: {
      path: mediaPath,
      routes: addRoutes,
      ...(open.length === 0 ? {} : { publicRoutes: (app, keepsake) => addOpenRoute(app, keepsake, open) }),
    },
  }
}

const params = z.object({
  folder: z.enum(folders).openapi({ param: { name: 'folder', in: 'path' } }),
  filename: z.string().openapi({ param: { name: 'filename', in: 'path' }, example: 'user_1_avatar.jpg' }),
})

const security = [{ bearer: [] }]
const tags = ['Profile media']
const notThere = { 404: { description: 'No image stands there, or it is somebody else’s.' } }

const openImage = createRoute({
  method: 'get',
  path: '/{folder}/{filename}',
  operationId: 'profileMediaOpen',
  tags,
  summary: 'The image that stands there now',
  description: 'Redirects to a fresh signed link. Images of a public folder need no credentials.',
  security,
  request: { params },
  responses: {
    302: { description: 'To the image.', headers: { Location: { schema: { type: 'string', format: 'uri' } } } },
    ...notThere,
  },
})

const removeImage = createRoute({
  method: 'delete',
  path: '/{folder}/{filename}',
  operationId: 'profileMediaDelete',
  tags,
  summary: 'Delete the image that stands there',
  security,
  request: { params },
  responses: { 204: { description: 'Gone.' }, ...notThere },
})

const kept = z.strictObject({ success: z.literal(true), url: z.string(), filename: z.string() })

const keepImage = createRoute({
  method: 'post',
  path: '/{folder}',
  operationId: 'profileMediaUpload',
  tags,
  summary: 'Keep an image in the place of the one before',
  description:
    'A form: `prefix` (default: avatar, thumb or upload), `userId` (with an API key; a token’s is its own; in ' +
    'thumbnails the video’s id), then the file, under any name.',
  security,
  request: {
    params: params.pick({ folder: true }),
    body: {
      required: true,
      content: {
        'multipart/form-data': {
          schema: z.object({
            prefix: z.string().optional(),
            userId: z.string().optional(),
            file: z.string().openapi({ format: 'binary' }),
          }),
        },
      },
    },
  },
  responses: { 201: { description: 'Kept.', content: { 'application/json': { schema: kept } } } },
})

const fieldsSchema = z.strictObject({ prefix: z.string().optional(), userId: z.string().min(1).optional() })
const prefixes = { avatars: 'avatar', thumbnails: 'thumb', uploads: 'upload' } as const

function addRoutes(app: App): void {
  // As a plain route: its body is a stream, which no validator may read first.
  app.openAPIRegistry.registerPath(keepImage)
  app.post('/:folder', async (c) => {
    const { folder } = c.req.param()
    if (!isFolder(folder)) throw new KeepsakeError('invalid_request', `Folders are ${folders.join(', ')}.`)
    const type = c.req.header('content-type') ?? ''
    if (!/^multipart\/form-data\b/i.test(type)) {
      throw new KeepsakeError('unsupported_media_type', 'Send a form with a file: multipart/form-data.')
    }
    const form = await openForm(type, c.req.raw.body)
    const fields = fieldsSchema.safeParse(Object.fromEntries(form.fields))
    if (!fields.success) throw invalidRequest('form', fields.error)
    const actor = c.get('actor')
    const id = fields.data.userId ?? (actor.role === 'user' ? actor.owner : undefined)
    if (id === undefined) throw new KeepsakeError('invalid_request', 'Say whose it is: userId, before the file.')
    const place = placeOf(folder, fields.data.prefix ?? prefixes[folder], id)
    const { asset, filename } = await new Images(c.get('verbs')).put(place, form.file)
    return c.json({ success: true as const, url: asset.url ?? '', filename }, 201)
  })

  app.openapi(openImage, async (c) => {
    const { folder, filename } = c.req.valid('param')
    return redirect(await new Images(c.get('verbs')).current(placeOfKey(`${folder}/${filename}`)))
  })

  app.openapi(removeImage, async (c) => {
    const { folder, filename } = c.req.valid('param')
    if (!(await new Images(c.get('verbs')).remove(placeOfKey(`${folder}/${filename}`)))) throw notFound()
    return c.body(null, 204)
  })
}

/** Of public folders alone; whatever else is asked for goes on to those who say who they are. */
function addOpenRoute(app: OpenApp, keepsake: Pick<Keepsake, 'as'>, open: readonly Folder[]): void {
  app.get('/:folder/:filename', async (c, next) => {
    const { folder, filename } = c.req.param()
    if (!open.some((name) => name === folder)) return next()
    const place = placeOfKey(`${folder}/${filename}`)
    if (place.collection !== folder) return next()
    const verbs = keepsake.as({ role: 'service', requestId: c.get('requestId') })
    return redirect(await new Images(verbs).current(place))
  })
}

/** Not to be kept: by the next look another image may stand there. What it leads to is cached for long. */
function redirect(asset: Asset | undefined): Response {
  if (!asset?.url) throw notFound()
  return new Response(null, { status: 302, headers: { location: asset.url, 'cache-control': 'no-cache' } })
}

function notFound(): KeepsakeError {
  return new KeepsakeError('asset_not_found', 'No image stands there, or it is somebody else’s.')
}
