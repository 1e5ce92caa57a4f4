import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

/** What a scripted server does with one request, whose body was read already. */
export type Step = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void

export type ScriptedServer = {
  readonly url: string
  readonly requests: readonly {
    readonly method: string
    readonly path: string
    readonly headers: IncomingMessage['headers']
    readonly body: Buffer
  }[]
  close(): Promise<void>
}

/** A server for fault tests: the first request gets the first step, and the last step serves all that follow. */
export async function startScriptedServer(...steps: [Step, ...Step[]]): Promise<ScriptedServer> {
  const requests: { method: string; path: string; headers: IncomingMessage['headers']; body: Buffer }[] = []
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('error', () => undefined)
    request.on('end', () => {
      const body = Buffer.concat(pieces)
      const step = steps[Math.min(requests.length, steps.length - 1)] ?? steps[0]
      requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers, body })
      step(request, response, body)
    })
  })
  return { url: await listen(server), requests, close: () => stop(server) }
}

/** Starts a server on a free port of this machine, and gives its address. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return `http://127.0.0.1:${address.port}`
}

export async function stop(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

export function answer(status: number, body = '', headers: Readonly<Record<string, string>> = {}): Step {
  return (_, response) => {
    response.writeHead(status, headers)
    response.end(body)
  }
}

/** An error as S3 writes it. */
export function s3Error(status: number, code: string, more = '', headers: Readonly<Record<string, string>> = {}): Step {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code>${more}<RequestId>1</RequestId></Error>`
  return answer(status, body, { 'content-type': 'application/xml', ...headers })
}

export const resetConnection: Step = (request) => request.socket.resetAndDestroy()

/** Never answers. */
export const hang: Step = () => undefined
