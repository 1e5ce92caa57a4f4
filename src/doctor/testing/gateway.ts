import { createServer, type IncomingMessage, type OutgoingHttpHeaders, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Passed = { status: number; headers: OutgoingHttpHeaders; body: Buffer }

export type GatewayOptions = {
  /** Where requests go: the port of a store on this machine. */
  readonly port: number
  /** Answers by itself; undefined: passed on. */
  readonly answer?: (request: IncomingMessage, body: Buffer) => Passed | undefined | Promise<Passed | undefined>
  /** Changes what the store answered. */
  readonly change?: (request: IncomingMessage, answer: Passed) => Passed
}

/** Something between a client and a store that breaks what it passes on, for tests of what must be noticed. */
export async function startGateway(options: GatewayOptions): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing, options).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function serve(incoming: IncomingMessage, outgoing: ServerResponse, options: GatewayOptions): Promise<void> {
  const pieces: Buffer[] = []
  for await (const piece of incoming) pieces.push(piece)
  const body = Buffer.concat(pieces)
  const own = await options.answer?.(incoming, body)
  const passed = own ?? (await pass(incoming, body, options.port))
  const { status, headers, body: answered } = own ? passed : (options.change?.(incoming, passed) ?? passed)
  outgoing.writeHead(status, headers)
  outgoing.end(incoming.method === 'HEAD' ? undefined : answered)
}

/** As it came, the Host included: it is inside the signature. */
function pass(incoming: IncomingMessage, body: Buffer, port: number): Promise<Passed> {
  return new Promise((resolve, reject) => {
    const { method, url, headers } = incoming
    const onward = request({ host: '127.0.0.1', port, method, path: url, headers, agent: false }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () => {
        const { connection: _, 'transfer-encoding': __, ...rest } = response.headers
        resolve({ status: response.statusCode ?? 502, headers: rest, body: Buffer.concat(pieces) })
      })
    })
    onward.on('error', reject)
    onward.end(body)
  })
}
