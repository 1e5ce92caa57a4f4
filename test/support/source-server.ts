import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import sharp from 'sharp'
import { listenOnLoopback } from './listen.ts'
import { videoBytes } from './video.ts'

/** A stand-in for an AI provider: real HTTP on loopback, media that is really media, and every way to misbehave. */
export type SourceServer = {
  /** `host:port`, for KEEPSAKE_IMPORT_ALLOW_HOSTS. */
  readonly host: string
  readonly port: number
  readonly png: Buffer
  readonly sha256: string
  readonly mp4: Buffer
  readonly webm: Buffer
  url(path: string): string
  /** Lets a path answer as another one does, from now on: a link that dies, a server that gets well. */
  behave(path: string, as: string): void
  /** How often a path was asked for. */
  asked(path: string): number
  /** How many connections were made, whatever was said on them. */
  readonly connections: number
  /** Waits until somebody has got half of what lies at a path under `/gated`. */
  halfWay(path: string): Promise<void>
  /** Gives the other half, now and in future. */
  open(path: string): void
  /** Everything answers 503 while true. */
  failing: boolean
  close(): Promise<void>
}

export async function startSourceServer(): Promise<SourceServer> {
  const png = await sharp({ create: { width: 64, height: 48, channels: 3, background: { r: 200, g: 80, b: 20 } } })
    .png()
    .toBuffer()
  const media = { png, mp4: await videoBytes('mp4'), webm: await videoBytes('webm') }
  const counts = new Map<string, number>()
  const behaviours = new Map<string, string>()
  const gates = new Map<string, Gate>()
  const gate = (path: string): Gate => {
    const known = gates.get(path) ?? { reached: Promise.withResolvers(), opened: Promise.withResolvers() }
    gates.set(path, known)
    return known
  }
  const state = { failing: false, connections: 0 }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://source')
    const count = (counts.get(url.pathname) ?? 0) + 1
    counts.set(url.pathname, count)
    if (state.failing) return void response.writeHead(503).end('down')
    const path = behaviours.get(url.pathname) ?? url.pathname
    const [, route = '', argument = ''] = path.split('/')
    const visit = { request, response, url, argument, count, gate: gate(path), ...media }
    const answer = Object.hasOwn(routes, route) ? routes[route] : undefined
    if (answer === undefined) return void response.writeHead(404).end()
    answer(visit)
  })
  server.on('connection', () => {
    state.connections += 1
  })
  const port = await listenOnLoopback(server)
  return {
    host: `127.0.0.1:${port}`,
    port,
    ...media,
    sha256: createHash('sha256').update(png).digest('hex'),
    url: (path) => `http://127.0.0.1:${port}${path}`,
    behave: (path, as) => void behaviours.set(path, as),
    asked: (path) => counts.get(path) ?? 0,
    get connections() {
      return state.connections
    },
    halfWay: (path) => gate(path).reached.promise,
    open: (path) => gate(path).opened.resolve(),
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

type Gate = { readonly reached: PromiseWithResolvers<void>; readonly opened: PromiseWithResolvers<void> }

type Visit = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  /** The second part of the path. */
  readonly argument: string
  /** Which visit to this path it is, from 1. */
  readonly count: number
  readonly gate: Gate
  readonly png: Buffer
  readonly mp4: Buffer
  readonly webm: Buffer
}

/** By the first part of the path. */
const routes: Readonly<Record<string, (visit: Visit) => void>> = {
  'picture.png': ({ response, png }) => send(response, png),
  'film.mp4': ({ response, mp4 }) => send(response, mp4, 'video/mp4'),
  'film.webm': ({ response, webm }) => send(response, webm, 'video/webm'),

  // What is no media, under whatever name and type.
  'page.html': ({ response }) => send(response, '<!doctype html><title>Sign in</title><p>Please sign in.', 'text/html'),
  'page.png': ({ response }) => send(response, '<html><body>not a picture</body></html>'),
  'script.png': ({ response }) => send(response, '#!/bin/sh\nrm -rf /\n'),
  'drawing.svg': ({ response }) =>
    send(response, '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
  'empty.png': ({ response }) => send(response, ''),
  'empty-chunked.png': ({ response }) => {
    response.writeHead(200, { 'content-type': 'image/png', 'transfer-encoding': 'chunked' }).end()
  },

  // How bytes come: whole, in pieces, too many, too few.
  'chunked.png': ({ response, png }) => {
    response.writeHead(200, { 'content-type': 'image/png' })
    response.write(png.subarray(0, 40))
    response.end(png.subarray(40))
  },
  'unframed.png': ({ request, png }) => raw(request, 'HTTP/1.0 200 OK', ['Content-Type: image/png'], png),
  'large-announced': ({ response, argument, png }) => {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': Number(argument) })
    pour(response, png, Number(argument))
  },
  'large-chunked': ({ response, argument, png }) => {
    response.writeHead(200, { 'content-type': 'image/png' })
    pour(response, png, Number(argument))
  },
  'large-unframed': ({ request, argument, png }) =>
    raw(request, 'HTTP/1.0 200 OK', [], Buffer.concat([png, Buffer.alloc(Number(argument) - png.length)])),
  /** A picture and its true length, and after it so many bytes that nobody announced. */
  'more-than-announced': ({ request, argument, png }) =>
    raw(
      request,
      'HTTP/1.1 200 OK',
      ['Content-Type: image/png', `Content-Length: ${png.length}`],
      Buffer.concat([png, Buffer.alloc(Number(argument), 'x')]),
    ),
  'cut-announced.png': ({ request, png }) =>
    raw(request, 'HTTP/1.1 200 OK', [`Content-Length: ${png.length}`], png.subarray(0, -20)),
  'cut-chunked.png': ({ request, response, png }) => {
    response.writeHead(200, { 'content-type': 'image/png' })
    response.write(png.subarray(0, -20), () => request.socket.destroy())
  },
  'cut-unframed.png': ({ request, png }) => raw(request, 'HTTP/1.0 200 OK', [], png.subarray(0, -20)),
  gated: async ({ response, png, gate }) => {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': png.length })
    response.write(png.subarray(0, 100), () => gate.reached.resolve())
    await gate.opened.promise
    response.end(png.subarray(100))
  },

  // How servers fail.
  /** Fails the first so many times. */
  flaky: ({ response, argument, count, png }) => {
    if (count <= Number(argument)) return void response.writeHead(503).end('busy')
    send(response, png)
  },
  status: ({ response, argument }) => {
    response.writeHead(Number(argument), { 'content-type': 'application/xml' }).end('<Error/>')
  },
  /** Gives the picture so many times, then says that the link has expired, as S3 does. */
  'dies-after': ({ response, argument, count, png }) => {
    if (count > Number(argument)) return void response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
    send(response, png)
  },
  /** To `?to=`, else to itself. */
  redirect: ({ response, url }) => {
    response.writeHead(302, { location: url.searchParams.get('to') ?? url.pathname }).end()
  },
  hangup: ({ request }) => {
    request.socket.destroy()
  },
}

function send(response: ServerResponse, body: string | Buffer, type = 'image/png'): void {
  response.writeHead(200, { 'content-type': type }).end(body)
}

/** An answer that Node would refuse to send, written by hand; the connection's end is its end. */
function raw(request: IncomingMessage, status: string, headers: readonly string[], body: Buffer): void {
  request.socket.end(Buffer.concat([Buffer.from(`${[status, ...headers].join('\r\n')}\r\n\r\n`), body]))
}

/** A picture that goes on for ever, until so many bytes were sent. Whoever has enough may leave. */
function pour(response: ServerResponse, png: Buffer, bytes: number): void {
  const chunk = Buffer.alloc(65_536)
  let sent = png.length
  response.write(png)
  const more = () => {
    while (sent < bytes && !response.destroyed) {
      const next = chunk.subarray(0, Math.min(chunk.length, bytes - sent))
      sent += next.length
      if (!response.write(next)) return void response.once('drain', more)
    }
    response.end()
  }
  more()
}
