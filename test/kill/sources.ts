import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { listenOnLoopback } from '../support/listen.ts'
import { type Picture, pictureBytes } from '../support/picture.ts'

/**
 * How a source behaves until it is healed:
 * - `good`: it answers.
 * - `slow`: it sends its bytes in pieces over a second or two.
 * - `failing`: half of its answers are 503.
 * - `cut`: half of its answers end in the middle.
 * - `gone`: 404, for good.
 */
export const sourceKinds = ['good', 'slow', 'failing', 'cut', 'gone'] as const
export type SourceKind = (typeof sourceKinds)[number]

/** The providers' servers that the imports read from. */
export class Sources {
  readonly #server: Server
  readonly #origin: string
  readonly #stopping = new AbortController()
  #healed = false

  private constructor(server: Server, port: number) {
    this.#server = server
    this.#origin = `http://127.0.0.1:${port}`
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch(() => response.destroy())
    })
  }

  static async start(): Promise<Sources> {
    const server = createServer()
    return new Sources(server, await listenOnLoopback(server))
  }

  get host(): string {
    return new URL(this.#origin).host
  }

  url(kind: SourceKind, { id, size }: Picture): string {
    return `${this.#origin}/${kind}/${size}/${id}.png`
  }

  /** From now on every source answers well, but for those that are gone. */
  heal(): void {
    this.#healed = true
  }

  close(): void {
    this.#stopping.abort()
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, kind = '', size = '', name = ''] = (request.url ?? '').split('/')
    const behaviour = this.#healed && kind !== 'gone' ? 'good' : kind
    if (behaviour === 'gone') {
      response.writeHead(404).end()
      return
    }
    if (behaviour === 'failing' && Math.random() < 0.5) {
      response.writeHead(503, { 'retry-after': '1' }).end()
      return
    }
    const bytes = pictureBytes({ id: name.replace(/\.png$/, ''), size: Number(size) })
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': bytes.length })
    if (behaviour === 'cut' && Math.random() < 0.5) {
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
      return
    }
    if (behaviour === 'slow') {
      const pieces = 8
      const length = Math.ceil(bytes.length / pieces)
      for (let piece = 0; piece < pieces - 1; piece += 1) {
        response.write(bytes.subarray(piece * length, (piece + 1) * length))
        await delay(100 + Math.random() * 150, undefined, { signal: this.#stopping.signal })
      }
      response.end(bytes.subarray((pieces - 1) * length))
      return
    }
    response.end(bytes)
  }
}
