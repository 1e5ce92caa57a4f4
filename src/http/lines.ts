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

/** Resolves when the reader has taken what came before: who has many lines to send waits for that. */
export type Emit = (progress: Readonly<Record<string, unknown>>) => Promise<void>

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
  let taken = Promise.withResolvers<void>()
  const run = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const write = (line: Readonly<Record<string, unknown>>) => {
      if (stop.signal.aborted) return
      controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`))
      alive.refresh()
    }
    const alive = setInterval(() => write({ type: 'alive' }), quietMilliseconds)
    const emit: Emit = async (progress) => {
      write({ ...progress, type: 'progress' })
      if ((controller.desiredSize ?? 0) <= 0 && !stop.signal.aborted) await taken.promise
    }
    try {
      write({ ...(await work(emit, stop.signal)), type: 'result' })
    } catch (thrown) {
      const { code, status, title, message, details } = toKeepsakeError(thrown)
      write({ ...details, type: 'problem', code, status, title, detail: message, requestId })
    } finally {
      clearInterval(alive)
      if (!stop.signal.aborted) controller.close()
    }
  }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // Not awaited: until it has started, a stream is not told that its reader wants more.
      void run(controller)
    },
    pull() {
      taken.resolve()
      taken = Promise.withResolvers<void>()
    },
    cancel() {
      stop.abort(new KeepsakeError('stopping', 'The caller stopped reading, so the work was stopped.'))
      taken.resolve()
    },
  })
  return c.body(body, 200, { 'content-type': linesType, 'cache-control': 'no-store' })
}
