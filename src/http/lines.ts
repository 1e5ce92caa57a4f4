import type { z } from '@hono/zod-openapi'
import { KeepsakeError } from '../media/index.ts'
import type { HttpContext } from './env.ts'
import { toKeepsakeError } from './problem.ts'

/**
 * The answer of work that takes long: newline-delimited JSON (`application/x-ndjson`), one object a line. Lines of
 * `{"type":"progress", …}` as they come, then `{"type":"result", …}` or, since the status went out long ago,
 * `{"type":"problem","code","status","title","detail","requestId"}`. A line `{"type":"alive"}` in every quiet ten seconds keeps
 * proxies from hanging up. Who stops reading aborts the work.
 */
// A plain string: of a literal that ends in json, zod-openapi's types want one JSON document.
export const linesType: string = 'application/x-ndjson'

const quietMilliseconds = 10_000

export type Emit = (progress: Readonly<Record<string, unknown>>) => void

/** What a route that answers with lines declares for its 200. */
export function lines(description: string, schema: z.ZodType) {
  return { description, content: { [linesType]: { schema } } }
}

/** Runs work whose progress and result go out line by line. An error before the first await is answered as any other. */
export function answerLines(
  c: HttpContext,
  work: (emit: Emit, signal: AbortSignal) => Promise<Readonly<Record<string, unknown>>>,
): Response {
  const stop = new AbortController()
  const requestId = c.get('requestId')
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      const write = (line: Readonly<Record<string, unknown>>) => {
        if (stop.signal.aborted) return
        controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`))
        alive.refresh()
      }
      const alive = setInterval(() => write({ type: 'alive' }), quietMilliseconds)
      try {
        write({ ...(await work((progress) => write({ ...progress, type: 'progress' }), stop.signal)), type: 'result' })
      } catch (thrown) {
        const { code, status, title, message, details } = toKeepsakeError(thrown)
        write({ ...details, type: 'problem', code, status, title, detail: message, requestId })
      } finally {
        clearInterval(alive)
        if (!stop.signal.aborted) controller.close()
      }
    },
    cancel() {
      stop.abort(new KeepsakeError('stopping', 'The caller stopped reading, so the work was stopped.'))
    },
  })
  return c.body(body, 200, { 'content-type': linesType, 'cache-control': 'no-store' })
}
