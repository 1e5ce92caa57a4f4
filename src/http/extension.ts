import { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import type { Keepsake } from '../verbs.ts'
import type { HttpEnv } from './env.ts'
import { answerInvalid } from './problem.ts'

/** Routes that stand beside Keepsake's own, under a path of their own and behind the same credentials. */
export type HttpExtension = {
  /** Where the routes are, such as `/api/generations`. */
  readonly path: string
  /**
   * Adds the routes; their paths are relative to `path`. `c.get('verbs')` acts as whoever asks, `c.get('actor')` says who
   * that is, `keepsake` acts as the service. A `KeepsakeError` that is thrown is answered as a problem.
   */
  readonly routes: (app: OpenAPIHono<HttpEnv>, keepsake: Keepsake) => void
}

const pathPattern = /^(\/[A-Za-z0-9._~-]+)+$/
/** Paths of Keepsake's own, which nobody else answers. */
const taken = /^\/(?:v1|uppy|docs|openapi\.json|healthz|readyz|metrics)(?:\/|$)/

const httpExtension = z.object({
  path: z
    .string()
    .regex(pathPattern)
    .refine((path) => !taken.test(path)),
  routes: z.custom<HttpExtension['routes']>((given) => typeof given === 'function'),
})

/** @throws `invalid_setting` where a path is malformed or Keepsake's own. */
export function parseHttpExtension(name: string, given: unknown): HttpExtension {
  const parsed = httpExtension.safeParse(given)
  if (parsed.success) return parsed.data
  throw new KeepsakeError(
    'invalid_setting',
    `The extension '${name}' has an http that is refused. It needs path, such as /api/generations and none of ` +
      'Keepsake’s own, and routes, a function.',
    { cause: parsed.error },
  )
}

export function addExtension(
  app: OpenAPIHono<HttpEnv>,
  { path, routes }: HttpExtension,
  { keepsake, authenticate }: { readonly keepsake: Keepsake; readonly authenticate: MiddlewareHandler<HttpEnv> },
): void {
  const own = new OpenAPIHono<HttpEnv>({
    defaultHook: (result, c) => (result.success ? undefined : answerInvalid(c, result.target, result.error)),
  })
  routes(own, keepsake)
  // The pattern '/x/*' also stands for '/x' itself.
  app.use(`${path}/*`, authenticate)
  app.route(path, own)
}
