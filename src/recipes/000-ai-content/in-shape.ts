import type { z } from '@hono/zod-openapi'
import { createMiddleware } from 'hono/factory'
import { type HttpContext, type HttpEnv, invalidRequest, toKeepsakeError } from '../../http/index.ts'
import type { KeepsakeError } from '../../index.ts'

export const tags = ['AI content']
/** Seconds after which it makes sense to look at a pending import again. */
export const pendingRetryAfter = 5

/** What is wrong, as one of the document's calls tells it. */
export type Failure = (error: KeepsakeError, c: HttpContext) => object | Promise<object>

/** What went wrong in the document's shape, under the status that HTTP has for it; a defect is told as everywhere. */
export function inShape(shape: Failure) {
  return createMiddleware<HttpEnv>(async (c, next) => {
    await next()
    if (c.error === undefined) return
    const error = toKeepsakeError(c.error)
    if (error.code === 'internal') return
    c.res = Response.json(await shape(error, c), { status: c.res.status })
  })
}

/** Thrown, so that it is answered, and logged, as whatever else is wrong. */
export function refuseInvalid(result: { success: true } | { success: false; error: z.core.$ZodError }): undefined {
  if (result.success) return undefined
  throw invalidRequest('json', result.error)
}
