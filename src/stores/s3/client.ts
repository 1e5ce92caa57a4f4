import { Readable } from 'node:stream'
import { type Dispatcher, Pool } from 'undici'
import { KeepsakeError } from '../../media/index.ts'
import { abortReason, unlessAborted } from '../abort.ts'
import type { ObjectBody } from '../object-store.ts'
import { actionOf } from './action.ts'
import { type Address, keyPath } from './address.ts'
import { OutgoingBody, readText, stagingBlocks } from './body.ts'
import { emptySha256 } from './canonical.ts'
import type { CredentialsKeeper } from './credentials.ts'
import { canonicalQuery } from './encode.ts'
import { type FailedResponse, failedConnection, failedResponse, type RequestContext } from './errors.ts'
import { type Answer, exchange, flatHeaders } from './exchange.ts'
import { inLine, Places } from './places.ts'
import { type Capabilities, type ProviderName, providerOfAnswer, providerOfHost, providers } from './providers.ts'
import { backoffMillis, pause, RetryBudget } from './retry.ts'
import { Watch } from './watch.ts'

export type S3Request = {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Without one, the bucket itself. */
  readonly key?: string
  readonly query?: readonly (readonly [name: string, value: string])[]
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: { readonly content: ObjectBody; readonly size: number }
  /** SHA-256 of the body. */
  readonly payloadHash: string
  readonly signal?: AbortSignal | undefined
  /** Default: that of the client. */
  readonly attempts?: number
  /** The longest wait without progress, in milliseconds, where it differs from the client's. */
  readonly stallMillis?: number
}

export type S3Response = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Dispatcher.ResponseData['body']
  /** Runs until the body is read; whoever reads it ends it. */
  readonly watch: Watch
}

export type S3ClientOptions = {
  readonly storeName: string
  readonly address: Address
  readonly bucket: string
  readonly region: string
  readonly credentials: CredentialsKeeper
  /** Default: by the host, or else by what answers. */
  readonly provider: ProviderName | undefined
  /** Most connections at a time. */
  readonly connections: number
  /** The longest wait without progress, in milliseconds. */
  readonly stallMillis: number
  readonly attempts: number
  readonly random: () => number
}

const errorLimit = 64 * 1024
/** S3 refuses a difference of 15 minutes; what is far from that is no reason for a 403. */
const skewMillis = 4 * 60_000
/** A request waits in line for this many times as long as another may go without progress. */
const linePatience = 10
const throttling = ['SlowDown', 'Http429', 'ServiceUnavailable', 'TooManyRequests', 'RequestLimitExceeded']

/**
 * Sends signed requests to one bucket: connections kept alive, deadlines, retries with full jitter inside a budget,
 * the clock and the credentials put right where the store says that they are wrong.
 */
export class S3Client {
  readonly #options: S3ClientOptions
  readonly #pool: Pool
  readonly #places: Places
  readonly #budget = new RetryBudget()
  readonly #staging = stagingBlocks()
  #provider: ProviderName | undefined
  #clockOffset = 0
  #lastSuccess = Number.NEGATIVE_INFINITY

  constructor(options: S3ClientOptions) {
    this.#options = options
    this.#provider = options.provider ?? providerOfHost(options.address.host)
    this.#places = new Places(options.storeName, options.connections, linePatience * options.stallMillis)
    this.#pool = new Pool(options.address.origin, {
      connections: options.connections,
      pipelining: 1,
      // Shorter than the idle time of S3 and of usual proxies, so that a request seldom meets a closing connection.
      keepAliveTimeout: 10_000,
      connect: { timeout: Math.min(10_000, options.stallMillis) },
      // Our own watch sees to it.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  get stallMillis(): number {
    return this.#options.stallMillis
  }

  /** Milliseconds to add to this machine's clock to get that of the store. */
  get clockOffset(): number {
    return this.#clockOffset
  }

  /** When the bucket last answered with success, in milliseconds of the process's own clock. */
  get lastSuccess(): number {
    return this.#lastSuccess
  }

  /** What the store can do, as far as it is known; a store that has not answered yet is taken for a faithful one. */
  get capabilities(): Capabilities {
    return providers[this.#provider ?? 'other']
  }

  /** The same, known for certain: a store that has not answered yet is asked for something. */
  async learnCapabilities(signal: AbortSignal | undefined): Promise<Capabilities> {
    if (this.#provider === undefined) {
      await this.sendForHeaders({ method: 'HEAD', payloadHash: emptySha256, signal }).catch((error: unknown) => {
        // Any answer will do.
        if (this.#provider === undefined) throw error
      })
    }
    return this.capabilities
  }

  get bucket(): string {
    return this.#options.bucket
  }

  get storeName(): string {
    return this.#options.storeName
  }

  context(request: Pick<S3Request, 'method' | 'key' | 'query' | 'headers'>): RequestContext {
    const { storeName, address, bucket, region } = this.#options
    return { storeName, origin: address.origin, bucket, region, action: actionOf(request), key: request.key }
  }

  /**
   * Sends until the answer is a success and could be read, or until it must not go on.
   *
   * @throws {KeepsakeError} what S3 or the connection said last.
   */
  send<T>(request: S3Request, read: (response: S3Response) => T | Promise<T>): Promise<T> {
    return this.#retried(request, () =>
      this.#attempt(request, async (options, watch) => {
        const { statusCode: status, headers, body } = await this.#pool.request({ ...options, signal: watch.signal })
        try {
          const received = flatHeaders(headers)
          if (status >= 300) {
            return this.#refuse(request, { status, headers: received, text: await readText(body, errorLimit) })
          }
          this.#accept(received)
          return await read({ status, headers: received, body, watch })
        } catch (error) {
          body.on('error', () => undefined).destroy()
          throw error
        }
      }),
    )
  }

  async #retried<T>(request: S3Request, work: () => Promise<T>): Promise<T> {
    const { credentials, storeName } = this.#options
    const attempts = request.attempts ?? this.#options.attempts
    const corrected = new Set<string>()
    let taken = 0
    for (let attempt = 1; ; attempt += 1) {
      try {
        const fresh = credentials.fresh()
        if (fresh instanceof Promise) await unlessAborted(storeName, fresh, request.signal)
        const result = await work()
        this.#budget.succeed(taken)
        return result
      } catch (thrown) {
        const error = failedConnection(this.context(request), thrown)
        const correction = correctionFor(error)
        if (correction && !corrected.has(correction)) {
          corrected.add(correction)
          if (correction === 'credentials') await unlessAborted(storeName, credentials.renew(), request.signal)
          continue
        }
        if (!error.retryable || request.signal?.aborted || attempt >= attempts) throw error
        if (error.details.reason === inLine) throw error
        const isTimeout = error.code === 'timeout'
        taken = this.#budget.take(isTimeout)
        if (taken === 0) throw error
        const { random } = this.#options
        const throttled = throttling.includes(String(error.details.s3Code))
        await this.#pause(backoffMillis({ retry: attempt, throttled, retryAfter: error.retryAfter, random }), request)
      }
    }
  }

  /**
   * The same, with the body read whole and made into something by `read`, which keeps nothing of it: the memory is used
   * again.
   */
  sendForBytes<T>(request: S3Request, limit: number, read: (bytes: Buffer) => T): Promise<T> {
    return this.#exchange(request, limit, ({ bytes }) => read(bytes))
  }

  /** The same, with the body read as text. */
  sendForText<T>(request: S3Request, limit: number, parse: (text: string) => T): Promise<T> {
    return this.#exchange(request, limit, ({ bytes }) => parse(bytes.toString('utf8')))
  }

  /** The same, with the body thrown away. */
  sendForHeaders(request: S3Request): Promise<S3Response['headers']> {
    return this.#exchange(request, errorLimit, ({ headers }) => headers)
  }

  #exchange<T>(request: S3Request, limit: number, read: (answer: Answer) => T): Promise<T> {
    return this.#retried(request, () =>
      this.#attempt(request, (options, watch) =>
        exchange(this.#pool, options, limit, watch, (answer) => {
          const { status, headers, bytes } = answer
          if (status >= 300) return this.#refuse(request, { status, headers, text: bytes.toString('utf8') })
          this.#accept(headers)
          watch.end()
          return read(answer)
        }),
      ),
    )
  }

  close(): Promise<void> {
    this.#options.credentials.close()
    return this.#pool.destroy()
  }

  /** One signed request under its watch. `work` sends it, and ends the watch once nothing more is awaited. */
  async #attempt<T>(
    request: S3Request,
    work: (options: Dispatcher.DispatchOptions, watch: Watch) => Promise<T>,
  ): Promise<T> {
    const { storeName } = this.#options
    if (!this.#places.take()) await this.#places.wait(request.signal)
    const stallMillis = request.stallMillis ?? this.#options.stallMillis
    const watch = new Watch(storeName, stallMillis, request.signal, () => this.#places.leave())
    let outgoing: OutgoingBody | undefined
    let payload: OutgoingBody['payload'] | null = null
    try {
      const { path, query, headers } = this.#signed(request)
      if (request.body) {
        outgoing = new OutgoingBody(request.body.content, request.body.size, watch, this.#staging)
        payload = outgoing.payload
        headers['content-length'] = String(request.body.size)
      }
      const options: Dispatcher.DispatchOptions = {
        // undici sends the path as it is; a URL object would resolve `..` and break the signature.
        path: query === '' ? path : `${path}?${query}`,
        method: request.method,
        headers,
        body: payload,
        // undici gives a connection up after every HEAD, for servers that send a body with its answer against RFC 9110,
        // section 9.3.2. S3 sends none; a new connection costs both sides more than the question.
        reset: false,
      }
      const result = await work(options, watch)
      outgoing?.release()
      return result
    } catch (error) {
      watch.end()
      // One that was still waiting for a connection has not been touched by undici.
      if (payload instanceof Readable) payload.on('error', () => undefined).destroy()
      if (outgoing?.sourceError) throw KeepsakeError.from(outgoing.sourceError.error)
      throw error
    }
  }

  #signed(request: S3Request) {
    const { address, credentials } = this.#options
    const { signer } = credentials.current()
    const path = request.key === undefined ? address.bucketPath : keyPath(address, request.key)
    const headers = signer.signHeaders(address, {
      method: request.method,
      path,
      ...(request.query ? { query: request.query } : {}),
      headers: request.headers ?? {},
      payloadHash: request.payloadHash,
      at: new Date(Date.now() + this.#clockOffset),
    })
    return { path, query: request.query ? canonicalQuery(request.query) : '', headers }
  }

  #accept(headers: S3Response['headers']): void {
    this.#provider ??= providerOfAnswer(headers)
    this.#lastSuccess = performance.now()
  }

  #refuse(request: S3Request, answer: FailedResponse): never {
    this.#provider ??= providerOfAnswer(answer.headers)
    throw this.#judgeClock(failedResponse(this.context(request), answer), answer.headers)
  }

  /** HEAD gives a 403 without a code, so the Date of the answer tells whether the clock is the reason. */
  #judgeClock(error: KeepsakeError, headers: S3Response['headers']): KeepsakeError {
    const code = error.details.s3Code
    if (code !== 'RequestTimeTooSkewed' && code !== 'Forbidden') return error
    const offset = Date.parse(headers.date ?? '') - Date.now()
    if (Number.isNaN(offset) || Math.abs(offset - this.#clockOffset) < skewMillis) return error
    this.#clockOffset = offset
    return new KeepsakeError(error.code, error.message, {
      retryable: false,
      details: { ...error.details, s3Code: 'RequestTimeTooSkewed', clockOffsetSeconds: Math.round(offset / 1000) },
    })
  }

  /** Waits as before a retry, for who repeats what was only done in part. False where the budget has none left. */
  async backOff(retry: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#budget.take(false) === 0) return false
    const { random } = this.#options
    await this.#pause(backoffMillis({ retry, throttled: true, retryAfter: undefined, random }), { signal })
    return true
  }

  async #pause(millis: number, { signal }: Pick<S3Request, 'signal'>): Promise<void> {
    try {
      await pause(millis, signal)
    } catch (reason) {
      throw abortReason(this.#options.storeName, reason)
    }
  }
}

/** What can be put right at once, and is worth one more request outside of the budget. */
function correctionFor(error: KeepsakeError): 'clock' | 'credentials' | undefined {
  if (error.details.clockOffsetSeconds !== undefined) return 'clock'
  if (['ExpiredToken', 'TokenRefreshRequired'].includes(String(error.details.s3Code))) return 'credentials'
  return undefined
}
