import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import sharp from 'sharp'

/** A stand-in for an AI provider: real HTTP on loopback, pictures that are really pictures, and every way to misbehave. */
export type SourceServer = {
  /** `host:port`, for KEEPSAKE_IMPORT_ALLOW_HOSTS. */
  readonly host: string
  readonly png: Buffer
  readonly sha256: string
  url(path: string): string
  /** How often a path was asked for. */
  asked(path: string): number
  /** Everything answers 503 while true. */
  failing: boolean
  close(): Promise<void>
}

export async function startSourceServer(): Promise<SourceServer> {
  const png = await sharp({ create: { width: 64, height: 48, channels: 3, background: { r: 200, g: 80, b: 20 } } })
    .png()
    .toBuffer()
  const counts = new Map<string, number>()
  const state = { failing: false }
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://source').pathname
    counts.set(path, (counts.get(path) ?? 0) + 1)
    if (state.failing) {
      response.writeHead(503).end('down')
      return
    }
    answer(path, counts.get(path) ?? 1, png, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    host: `127.0.0.1:${port}`,
    png,
    sha256: createHash('sha256').update(png).digest('hex'),
    url: (path) => `http://127.0.0.1:${port}${path}`,
    asked: (path) => counts.get(path) ?? 0,
    get failing() {
      return state.failing
    },
    set failing(value) {
      state.failing = value
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function answer(path: string, count: number, png: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const send = (body: string | Buffer, type = 'image/png') =>
    response.writeHead(200, { 'content-type': type }).end(body)
  const [, route = '', argument = ''] = path.split('/')
  switch (route) {
    case 'picture.png':
      return void send(png)
    case 'chunked.png':
      response.writeHead(200, { 'content-type': 'image/png' })
      response.write(png.subarray(0, 40))
      return void response.end(png.subarray(40))
    case 'page.html':
      return void send('<!doctype html><title>Sign in</title><p>Please sign in to see the picture.', 'text/html')
    case 'page.png':
      return void send('<html><body>not a picture</body></html>')
    case 'script.png':
      return void send('#!/bin/sh\nrm -rf /\n')
    case 'drawing.svg':
      return void send('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 'image/png')
    case 'empty.png':
      return void send('')
    case 'large':
      // Without a Content-Length, and longer than asked for: /large/<bytes>
      response.writeHead(200, { 'content-type': 'image/png' })
      response.write(png)
      stream(response, Number(argument))
      return
    case 'lying':
      // More bytes than announced: Node would refuse to send it, so it is written by hand.
      return void request.socket.end(
        Buffer.concat([
          Buffer.from(
            `HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n`,
          ),
          png,
        ]),
      )
    case 'cut-chunked':
      response.writeHead(200, { 'content-type': 'image/png' })
      response.write(png)
      return void setTimeout(() => request.socket.destroy(), 20)
    case 'unframed-cut.png':
      return void request.socket.end(
        Buffer.concat([
          Buffer.from('HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n'),
          png.subarray(0, png.length - 20),
        ]),
      )
    case 'unframed.png':
      return void request.socket.end(
        Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n'), png]),
      )
    case 'flaky':
      // Fails the first <argument> times.
      if (count <= Number(argument)) return void response.writeHead(503).end('busy')
      return void send(png)
    case 'status':
      return void response.writeHead(Number(argument), { 'content-type': 'application/xml' }).end('<Error/>')
    case 'dies-after':
      // Gives the picture <argument> times, then says that the link has expired, as S3 does.
      if (count > Number(argument)) return void response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
      return void send(png)
    case 'redirect': {
      const target = new URL(request.url ?? '/', 'http://source').searchParams.get('to') ?? '/'
      return void response.writeHead(302, { location: target }).end()
    }
    case 'silent':
      return
    default:
      return void response.writeHead(404).end()
  }
}

function stream(response: ServerResponse, bytes: number): void {
  const chunk = randomBytes(65_536)
  let sent = 0
  const more = () => {
    while (sent < bytes) {
      sent += chunk.length
      if (!response.write(chunk)) return void response.once('drain', more)
    }
    response.end()
  }
  more()
}
