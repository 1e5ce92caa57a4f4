import { createHash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { z } from 'zod'
import { createS3Store } from '../src/stores/index.ts'
import { bucket, region } from './bucket.ts'
import { serveParent } from './child.ts'

/**
 * The load on a server, in a process of its own: requests signed beforehand are written to kept-alive connections as
 * bytes, and of an answer only the status and the length are read, so that the client costs next to nothing.
 */
const messageSchema = z.object({
  task: z.enum(['put', 'get']),
  url: z.string(),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
  prefix: z.string(),
  size: z.int(),
  count: z.int(),
  clients: z.int(),
})
type Message = z.infer<typeof messageSchema>

serveParent(
  async (given) => {
    const message = messageSchema.parse(given)
    const requests = sign(message)
    const { hostname, port } = new URL(message.url)
    const connections = await Promise.all(
      Array.from({ length: message.clients }, () => Connection.open(hostname, Number(port))),
    )
    let next = 0
    const start = performance.now()
    await Promise.all(
      connections.map(async (connection) => {
        for (let request = requests[next++]; request; request = requests[next++]) {
          const received = await connection.send(request)
          if (message.task === 'get' && received !== message.size) throw new Error(`A GET gave ${received} bytes.`)
        }
      }),
    )
    const seconds = (performance.now() - start) / 1000
    for (const connection of connections) connection.close()
    return { seconds }
  },
  async () => {},
)

function sign({ task, url, credentials, prefix, size, count }: Message): readonly (readonly Buffer[])[] {
  const store = createS3Store({ bucket, region, endpoint: url, credentials })
  const { host } = new URL(url)
  const body = randomBytes(size)
  const head = (method: string, signed: string, headers: Readonly<Record<string, string>>) => {
    const { pathname, search } = new URL(signed)
    const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    return Buffer.from(`${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`)
  }
  return Array.from({ length: count }, (_, index) => {
    const key = `${prefix}/${createHash('md5').update(String(index)).digest('hex')}.png`
    if (task === 'get') return [head('GET', store.signGet(key, { expiresIn: 3600 }).url, {})]
    const headers = { 'content-type': 'image/png', 'content-length': String(size) }
    const put = store.signPut(key, { expiresIn: 3600, headers })
    return [head('PUT', put.url, put.headers), body]
  })
}

/** One kept-alive connection, one request at a time. */
class Connection {
  readonly #socket: Socket
  #received: Buffer[] = []
  /** Bytes of the body that are still to come; undefined while the head is. */
  #left: number | undefined
  #length = 0
  #waiting: PromiseWithResolvers<number> | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#read(bytes))
    socket.on('error', (error) => this.#waiting?.reject(error))
    socket.on('close', () => this.#waiting?.reject(new Error('The server closed the connection.')))
  }

  static async open(host: string, port: number): Promise<Connection> {
    const socket = connect(port, host)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    socket.once('connect', resolve).once('error', reject)
    await promise
    return new Connection(socket)
  }

  /** Sends a request; answers the length of the answer's body. @throws where the status is not 200. */
  send(request: readonly Buffer[]): Promise<number> {
    this.#waiting = Promise.withResolvers()
    this.#socket.cork()
    for (const bytes of request) this.#socket.write(bytes)
    this.#socket.uncork()
    return this.#waiting.promise
  }

  close(): void {
    this.#waiting = undefined
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    if (this.#left === undefined) {
      this.#received.push(bytes)
      const all = Buffer.concat(this.#received)
      const end = all.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = all.toString('latin1', 0, end)
      const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
      if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) {
        this.#waiting?.reject(new Error(`The server answered ${head.slice(0, 200)}`))
        return
      }
      this.#received = []
      this.#length = Number(length)
      this.#left = this.#length - (all.length - end - 4)
    } else this.#left -= bytes.length
    if (this.#left > 0) return
    this.#left = undefined
    this.#waiting?.resolve(this.#length)
  }
}
