import { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import type { Keepsake } from '../verbs.ts'
import type { HttpEnv, PublicHttpEnv } from './env.ts'
import { answerInvalid, invalidRequest } from './problem.ts'

/** Routes that stand beside Keepsake's own, under a path of their own and behind the same credentials. */
export type HttpExtension = {
  /** Where the routes are, such as `/api/generations`. */
  readonly path: string
  /**
   * Adds the routes; their paths are relative to `path`. `c.get('verbs')` acts as whoever asks, `c.get('actor')` says who
   * that is, `keepsake` acts as the service. A `KeepsakeError` that is thrown is answered as a problem.
   */
  readonly routes: (app: OpenAPIHono<HttpEnv>, keepsake: Keepsake) => void
  /**
   * Routes in front of the others that need no credentials: nobody is known there, and `keepsake` may do anything. A
   * handler that calls `next()` leaves the request to those behind, who ask for credentials.
   */
  readonly publicRoutes?: (app: OpenAPIHono<PublicHttpEnv>, keepsake: Keepsake) => void
}

const pathPattern = /^(\/(?!\.+(?:\/|$))[A-Za-z0-9._~-]+)+$/
/** Paths of Keepsake's own, which nobody else answers. */
const taken = /^\/(?:v1|uppy|docs|openapi\.json|healthz|readyz|metrics)(?:\/|$)/

const httpExtension = z.strictObject({
  path: z
    .string()
    .regex(pathPattern)
    .refine((path) => !taken.test(path)),
  routes: z.custom<HttpExtension['routes']>(isFunction),
  publicRoutes: z.custom<NonNullable<HttpExtension['publicRoutes']>>(isFunction).optional(),
})

function isFunction(given: unknown): boolean {
  return typeof given === 'function'
}

/** @throws `invalid_setting` where a path is malformed or Keepsake's own. */
export function parseHttpExtension(name: string, given: unknown): HttpExtension {
  const parsed = httpExtension.safeParse(given)
  if (parsed.success) {
    const { publicRoutes, ...rest } = parsed.data
    return { ...rest, ...(publicRoutes ? { publicRoutes } : {}) }
  }
  throw new KeepsakeError(
    'invalid_setting',
    `The extension '${name}' has an http that is refused. It needs path, such as /api/generations and none of ` +
      'Keepsake’s own, and routes, a function.',
    { cause: parsed.error },
  )
}

/**
 * Adds every extension's routes to an app.
 *
 * @throws `invalid_setting` where one's path is another's, or lies below it; where adding routes fails.
 */
export function addExtensions(
  app: OpenAPIHono<HttpEnv>,
  extensions: readonly HttpExtension[],
  parts: { readonly keepsake: Keepsake; readonly authenticate: MiddlewareHandler<HttpEnv> },
): void {
  for (const [index, extension] of extensions.entries()) {
    const { path } = parseHttpExtension(`at ${extension.path}`, extension)
    const other = extensions.slice(0, index).find((before) => isBelow(path, before.path) || isBelow(before.path, path))
    if (other !== undefined) {
      throw new KeepsakeError(
        'invalid_setting',
        `Two extensions answer under ${path} and ${other.path}. Each needs a path of its own, not below another's.`,
      )
    }
    addExtension(app, extension, parts)
  }
}

function isBelow(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}/`)
}

function addExtension(
  app: OpenAPIHono<HttpEnv>,
  { path, routes, publicRoutes }: HttpExtension,
  { keepsake, authenticate }: { readonly keepsake: Keepsake; readonly authenticate: MiddlewareHandler<HttpEnv> },
): void {
  if (publicRoutes) {
    const open = new OpenAPIHono<PublicHttpEnv>({
      defaultHook: (result) => {
        if (!result.success) throw invalidRequest(result.target, result.error)
      },
    })
    addRoutes(path, () => publicRoutes(open, keepsake))
    app.route(path, open)
  }
  const own = new OpenAPIHono<HttpEnv>({
    defaultHook: (result, c) => (result.success ? undefined : answerInvalid(c, result.target, result.error)),
  })
  addRoutes(path, () => routes(own, keepsake))
  // The pattern '/x/*' also stands for '/x' itself.
  app.use(`${path}/*`, authenticate)
  app.route(path, own)
}

/** What is added later is never answered: an app is closed by its first request. */
function addRoutes(path: string, add: () => unknown): void {
  let returned: unknown
  try {
    returned = add()
  } catch (error) {
    if (error instanceof KeepsakeError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new KeepsakeError('invalid_setting', `The extension at ${path} cannot add its routes: ${why}`, {
      cause: error,
    })
  }
  if (!(returned instanceof Promise)) return
  returned.catch(() => {})
  throw new KeepsakeError(
    'invalid_setting',
    `The extension at ${path} adds its routes asynchronously. Have what it needs ready before, and add them at once.`,
  )
}
