import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { listenOnLoopback } from './listen.ts'

/**
 * How a store fails. `unavailable`: it answers 503. `refusing`: nobody listens. `hanging`: it takes connections and says
 * nothing. `slow`: it answers, after a while.
 */
export type Fault = 'none' | 'unavailable' | 'refusing' | 'hanging' | 'slow'

/** Stands before a server of S3 and makes it fail, on the wire. */
export class FaultProxy {
  /** What a slow answer waits for, in milliseconds. */
  slowness = 200
  readonly #target: number
  readonly #agent = new Agent({ keepAlive: true })
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0
  #fault: Fault = 'none'

  private constructor(target: number) {
    this.#target = target
  }

  /** In front of a port of this machine. */
  static async open(target: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await proxy.#listen()
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async set(fault: Fault): Promise<void> {
    this.#fault = fault
    if (fault === 'refusing') await this.#hangUp()
    else {
      for (const socket of this.#sockets) socket.destroy()
      if (this.#server === undefined) await this.#listen()
    }
  }

  async close(): Promise<void> {
    await this.#hangUp()
    this.#agent.destroy()
  }

  async #listen(): Promise<void> {
    const server = createServer((incoming, outgoing) => void this.#pass(incoming, outgoing))
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#port = await listenOnLoopback(server, this.#port)
    this.#server = server
  }

  async #hangUp(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    if (server) await new Promise((resolve) => server.close(resolve))
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    incoming.on('error', () => {})
    outgoing.on('error', () => {})
    const fault = this.#fault
    if (fault === 'hanging') return
    if (fault === 'unavailable') {
      incoming.resume()
      outgoing.writeHead(503, { 'content-type': 'application/xml', connection: 'close' })
      outgoing.end('<Error><Code>ServiceUnavailable</Code><Message>A fault of the test.</Message></Error>')
      return
    }
    if (fault === 'slow') await delay(this.slowness)
    const { method, url: path, headers } = incoming
    const onward = request(
      { agent: this.#agent, host: '127.0.0.1', port: this.#target, method, path, headers },
      (answer) => {
        // How long the server behind keeps its connections says nothing about ours (RFC 9110, section 7.6.1).
        const { connection: _, 'keep-alive': __, ...endToEnd } = answer.headers
        outgoing.writeHead(answer.statusCode ?? 502, endToEnd)
        answer.on('error', () => outgoing.destroy())
        answer.pipe(outgoing)
      },
    )
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  }
}
