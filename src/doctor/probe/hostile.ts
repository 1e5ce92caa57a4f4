import { Agent, request } from 'undici'

export type RawAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** S3's code of an error, where there is one. */
  readonly code: string | undefined
  readonly body: Buffer
}

type RawRequest = {
  readonly method?: 'GET' | 'HEAD' | 'PUT' | 'OPTIONS' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal: AbortSignal
}

const bodyLimit = 64 * 1024

/** Sends requests as a stranger or a browser would: nothing is signed, retried, corrected or followed. */
export class RawClient {
  readonly #agent = new Agent({
    connect: { timeout: 5_000 },
    headersTimeout: 15_000,
    bodyTimeout: 15_000,
    pipelining: 0,
  })

  async send(url: string, { method = 'GET', headers = {}, body, signal }: RawRequest): Promise<RawAnswer> {
    const response = await request(url, { method, headers, body: body ?? null, signal, dispatcher: this.#agent })
    const pieces: Buffer[] = []
    let size = 0
    for await (const piece of response.body) {
      if (!(piece instanceof Uint8Array)) continue
      size += piece.byteLength
      if (size > bodyLimit) break
      pieces.push(Buffer.from(piece))
    }
    const bytes = Buffer.concat(pieces)
    const flat = Object.entries(response.headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, typeof value === 'string' ? value : value.join(',')]],
    )
    const code = /<Code>([A-Za-z0-9._-]{1,64})<\/Code>/.exec(bytes.toString('latin1'))?.[1]
    return { status: response.statusCode, headers: Object.fromEntries(flat), code, body: bytes }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

/** `403 AccessDenied` */
export function shown({ status, code }: Pick<RawAnswer, 'status' | 'code'>): string {
  return code === undefined ? String(status) : `${status} ${code}`
}

/** A connection's error as its code; its message may repeat a URL, which is a secret. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no answer'
  if ('code' in error && typeof error.code === 'string') return error.code
  if (error.cause instanceof Error) return codeOf(error.cause)
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return error.name
}
