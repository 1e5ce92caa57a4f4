import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { listenOnLoopback } from './listen.ts'

/** One request that came through the door. */
export type Passage = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Of the request's body, in bytes. */
  received: number
  /** 0 while there is no answer. */
  status: number
}

/**
 * `spoil`: its signature is made wrong. `unauthorized`: its token is. `cut`: it never arrives. `swallow`: it arrives, and
 * its answer gets lost. `refuse`: it is answered with 503, and nobody behind the door hears of it.
 */
export type Verdict = 'pass' | 'spoil' | 'unauthorized' | 'cut' | 'swallow' | 'refuse'

/** What is done with a request, decided before anybody behind the door sees it. */
export type Guard = (passage: Passage) => Promise<Verdict> | Verdict

/**
 * A door in front of a server: counts what comes through, and may hold a request, lose it or spoil it. Where it leads is
 * told once that is known.
 */
export class WatchedDoor {
  readonly url: string
  readonly passages: Passage[] = []
  guard: Guard = () => 'pass'
  target = 0
  readonly #server: ReturnType<typeof createServer>
  readonly #sockets = new Set<Socket>()
  #received = 0

  private constructor(server: ReturnType<typeof createServer>, port: number) {
    this.#server = server
    this.url = `http://127.0.0.1:${port}`
    server.on('request', (incoming, outgoing) => void this.#enter(incoming, outgoing))
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        this.#received += socket.bytesRead
      })
    })
  }

  static async open(): Promise<WatchedDoor> {
    const server = createServer()
    return new WatchedDoor(server, await listenOnLoopback(server))
  }

  /** Every byte that any socket of the door ever received, headers included. */
  get bytes(): number {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.bytesRead, this.#received)
  }

  /** Those that were answered, by method and by what their path or query holds. */
  passed(method: string, filter: (passage: Passage) => boolean = () => true): Passage[] {
    return this.passages.filter((passage) => passage.method === method && filter(passage))
  }

  reset(): void {
    this.passages.length = 0
    this.guard = () => 'pass'
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #enter(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { pathname, searchParams, search } = new URL(incoming.url ?? '/', this.url)
    const { method = 'GET' } = incoming
    const passage: Passage = { method, path: pathname, query: searchParams, received: 0, status: 0 }
    this.passages.push(passage)
    const verdict = await this.guard(passage)
    if (verdict === 'cut' || outgoing.destroyed) return void incoming.socket.destroy()
    if (verdict === 'refuse') {
      incoming.resume()
      incoming.on('end', () => outgoing.writeHead(503).end())
      return
    }
    const spoilt = search.replace(/(X-Amz-Signature=)[0-9a-f]{8}/, '$100000000')
    const path = pathname + (verdict === 'spoil' ? spoilt : search)
    const headers =
      verdict === 'unauthorized'
        ? incoming.rawHeaders.map((text) => (text.startsWith('Bearer ') ? 'Bearer nobody' : text))
        : incoming.rawHeaders
    const onward = request({ host: '127.0.0.1', port: this.target, method, path, headers })
    incoming.on('data', (chunk: Buffer) => {
      passage.received += chunk.length
    })
    this.#answer(onward, outgoing, passage, verdict === 'swallow')
    incoming.pipe(onward)
  }

  #answer(onward: ClientRequest, outgoing: ServerResponse, passage: Passage, isLost: boolean): void {
    onward.on('response', (answer) => {
      passage.status = answer.statusCode ?? 0
      if (isLost) return void outgoing.destroy()
      outgoing.writeHead(passage.status, answer.rawHeaders)
      answer.pipe(outgoing)
      answer.on('error', () => outgoing.destroy())
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) onward.destroy()
    })
  }
}
