import { createServer, type IncomingMessage } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { z } from 'zod'
import { listenOnLoopback } from './listen.ts'

const eventSchema = z.looseObject({
  type: z.string(),
  timestamp: z.string(),
  data: z.looseObject({ asset: z.looseObject({ id: z.string() }).optional() }),
})

/** A request as it came, its signature checked by the library of Standard Webhooks. */
export type Received = {
  readonly id: string
  readonly path: string
  readonly body: string
  readonly event: z.output<typeof eventSchema>
  readonly headers: Readonly<Record<string, string>>
}

/** What the receiver does with a request; undefined: it never answers. */
export type Answer = { readonly status: number; readonly headers?: Record<string, string> } | undefined

export const webhookSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

/** A receiver of webhooks on the loopback, over real HTTP. It refuses what is not signed right, and says so to the test. */
export async function startReceiver(port?: number) {
  const received: Received[] = []
  const forged: string[] = []
  let answer: (request: Received) => Answer = () => ({ status: 204 })
  let wake: (() => void)[] = []
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    const headers = Object.fromEntries(
      Object.entries(request.headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
    )
    let event: Received['event']
    try {
      event = eventSchema.parse(new Webhook(webhookSecret).verify(body, headers))
    } catch (error) {
      forged.push(String(error))
      response.writeHead(401).end()
      return
    }
    const one = { id: headers['webhook-id'] ?? '', path: request.url ?? '', body, event, headers }
    received.push(one)
    const what = answer(one)
    if (what) response.writeHead(what.status, what.headers).end('thank you')
    for (const tell of wake.splice(0)) tell()
  })
  if (port === undefined) await listenOnLoopback(server)
  else await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port: bound,
    url: `http://127.0.0.1:${bound}/hook?token=do-not-tell`,
    received,
    forged,
    answers(given: typeof answer) {
      answer = given
    },
    /** Waits until it is so; it is looked at after each request. */
    async until(isSo: () => boolean): Promise<void> {
      while (!isSo()) await new Promise<void>((resolve) => wake.push(resolve))
    },
    async close() {
      wake = []
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export type Receiver = Awaited<ReturnType<typeof startReceiver>>

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
