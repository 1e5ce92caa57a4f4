import { hash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { Access, type OpenPrefixes } from './access.ts'
import { type Authentication, Authenticator, type Credentials, type Identity } from './authentication.ts'
import { BodyReader } from './body-reader.ts'
import { corsHeaders, parseCors } from './cors.ts'
import { errorXml, S3Error } from './errors.ts'
import { isBucketName, keyTooLong } from './keys.ts'
import type { Context, ObjectSection, Operation, Reply } from './operation.ts'
import { DEFAULT_SETTINGS } from './operations/bucket-settings.ts'
import { Payload } from './payload.ts'
import { BLOCK_ALL } from './public-access-block.ts'
import { parseRequest, type S3Request } from './request.ts'
import { route } from './router.ts'
import { EMPTY_SHA256 } from './sigv4.ts'
import { SlowAnswer } from './slow-answer.ts'
import { BucketGoneError } from './store/bucket-gate.ts'
import type { FolderStore } from './store/folder-store.ts'

/** What is told of a request that has been answered. Holds no secret: no query, no header, no key. */
export type RequestInfo = {
  readonly method: string
  readonly bucket: string
  /** As AWS names it, e.g. `PutObject`; undefined when the request was refused before that was known. */
  readonly operation: string | undefined
  /** What the answer means: not 200 where it began so and became an error. */
  readonly status: number
  readonly durationMs: number
  readonly requestId: string
  /** What went wrong, where the answer was 500 InternalError or broke off. */
  readonly error: unknown
}

export type ServerOptions = {
  readonly store: FolderStore
  readonly region: string
  readonly credentials: Credentials
  readonly onRequest?: ((info: RequestInfo) => void) | undefined
  /** Milliseconds a client may go without sending or taking anything to speak of. */
  readonly idleTimeout: number
  readonly now: () => number
  readonly behindTls: boolean
  readonly blockPublicAccess: boolean
  readonly legacyForms: boolean
  readonly open: OpenPrefixes
}

const MAX_HEADERS = 16 * 1024
const MAX_CONNECTIONS = 1024
/** Milliseconds that the rest of an unwanted body may take to flow away before the connection is cut. */
const LINGER = 5_000
const READ_SIZE = 256 * 1024
/** Signs of life within the time that a connection may be idle, while an answer is being worked out. */
const BLANKS = 3

/** The HTTP side: limits, signatures, routing, and answers in S3's form. */
export class S3Server {
  readonly http: http.Server
  readonly #options: ServerOptions
  readonly #authenticator: Authenticator
  readonly #access: Access
  readonly #bucketDefaults: Readonly<Record<string, string>>
  readonly #ownerId: string
  readonly #hostId = randomBytes(24).toString('base64')
  readonly #idPrefix = randomBytes(4).toString('hex').toUpperCase()
  readonly #running = new Set<Promise<void>>()
  #requests = 0
  #closing = false

  constructor(options: ServerOptions) {
    this.#options = options
    this.#authenticator = new Authenticator(options.credentials, options.region, options.legacyForms)
    this.#access = new Access(options.store, options.behindTls, options.now, options.open)
    this.#bucketDefaults = bucketDefaults(options.blockPublicAccess)
    this.#ownerId = hash('sha256', options.credentials.accessKeyId)
    const limits = {
      maxHeaderSize: MAX_HEADERS,
      headersTimeout: options.idleTimeout,
      // Of the whole request: an upload may take hours as long as it goes on, which BodyReader sees to.
      requestTimeout: 0,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: Math.min(5_000, options.idleTimeout),
      noDelay: true,
    }
    this.http = http.createServer(limits, (incoming, response) => this.#accept(incoming, response, false))
    this.http.on('checkContinue', (incoming, response) => this.#accept(incoming, response, true))
    // Neither side moves a byte: a reader that has stopped taking an answer, too.
    this.http.setTimeout(Math.max(options.idleTimeout, 1) + 1_000)
    this.http.maxConnections = MAX_CONNECTIONS
    this.http.on('clientError', (error, socket) => this.#refuse(error, socket))
  }

  /** Takes no more requests and waits for those under way, at most `timeoutMs`; then cuts them off. */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()))
    this.http.closeIdleConnections()
    // A connection whose answer had begun before may fall idle later, and would be kept alive.
    const sweep = setInterval(() => this.http.closeIdleConnections(), 50)
    const cut = setTimeout(() => this.http.closeAllConnections(), timeoutMs)
    try {
      await closed
      await Promise.allSettled(this.#running)
    } finally {
      clearInterval(sweep)
      clearTimeout(cut)
    }
  }

  #accept(incoming: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const running = this.#serve(incoming, response, expectsContinue)
    this.#running.add(running)
    running.finally(() => this.#running.delete(running))
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    const started = performance.now()
    const requestId = this.#requestId()
    const reader = new BodyReader(incoming, this.#options.idleTimeout, () => {
      if (expectsContinue) response.writeContinue()
    })
    let request: S3Request | undefined
    let operation: Operation | undefined
    let failure: unknown
    let slow: SlowAnswer | undefined
    let status: number | undefined
    response.on('error', () => undefined)
    try {
      let reply: Reply
      try {
        request = parseRequest(incoming)
        if (request.method === 'OPTIONS') reply = this.#preflight(request)
        else {
          const authentication = this.#authenticator.authenticate(request)
          operation = routeFor(request, authentication.identity)
          this.#requireTarget(request, operation)
          const context = this.#context(request, authentication, reader)
          if (operation.action !== undefined) context.authorize(operation.action)
          if (!operation.takesBody) refuseFalseHash(request, authentication.payloadHash)
          if (operation.takesLong) slow = this.#slowAnswer(incoming, response, request, requestId)
          reply = await operation.handle(context)
        }
      } catch (error) {
        if (!(error instanceof S3Error || error instanceof BucketGoneError)) failure = error
        reply = this.#errorReply(error, incoming, requestId)
      }
      status = reply.status
      if (slow?.stop()) slow.end(typeof reply.body === 'string' ? reply.body : '')
      else {
        const cors = request === undefined ? {} : this.#corsHeaders(request)
        await this.#answer(incoming, response, { ...reply, headers: { ...cors, ...reply.headers } }, requestId)
      }
    } catch (error) {
      failure = error
      response.destroy()
    } finally {
      slow?.stop()
      reader.release()
      drain(incoming)
    }
    this.#options.onRequest?.({
      method: incoming.method ?? '',
      bucket: request?.bucket ?? '',
      operation: operation?.name,
      status: status ?? response.statusCode,
      durationMs: performance.now() - started,
      requestId,
      error: failure,
    })
  }

  #context(request: S3Request, authentication: Authentication, reader: BodyReader): Context {
    const { store, region, now } = this.#options
    const { identity } = authentication
    return {
      request,
      identity,
      store,
      region,
      now,
      authenticator: this.#authenticator,
      ownerId: this.#ownerId,
      bucketDefaults: this.#bucketDefaults,
      payload: (maxSize, options) => new Payload(request, authentication, reader, maxSize, options),
      authorize: (action, target, asked = request) => {
        const { bucket, key } = request
        this.#access.require(action, { identity, bucket, key, ...target }, asked)
      },
    }
  }

  /** https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html: asked without a signature, by browsers. */
  #preflight(request: S3Request): Reply {
    const method = request.headers.get('access-control-request-method')
    if (!request.headers.has('origin')) {
      throw new S3Error('BadRequest', 'Insufficient information. Origin request header needed.')
    }
    if (method === undefined) throw new S3Error('BadRequest', 'Invalid Access-Control-Request-Method: null')
    const headers = this.#corsHeaders(request)
    if (headers === undefined) throw new S3Error('AccessForbidden', undefined, { Method: method })
    return { status: 200, headers }
  }

  /** What the bucket's CORS rules say of a request from a page; undefined when it is from none, or not allowed. */
  #corsHeaders(request: S3Request): Record<string, string> | undefined {
    const origin = request.headers.get('origin')
    const document = this.#options.store.bucket(request.bucket)?.settings.cors
    if (origin === undefined || document === undefined) return undefined
    const asked = request.method === 'OPTIONS'
    const method = asked ? (request.headers.get('access-control-request-method') ?? '') : request.method
    const names = asked ? (request.headers.get('access-control-request-headers') ?? '') : ''
    const headers = names.split(',').flatMap((name) => name.trim().toLowerCase() || [])
    return corsHeaders(parseCors(document), { origin, method, headers })
  }

  #requireTarget(request: S3Request, operation: Operation): void {
    if (operation.target === 'object') {
      const tooLong = keyTooLong(request.key)
      if (tooLong !== undefined) throw tooLong
    }
    if (operation.withoutBucket || this.#options.store.bucket(request.bucket) !== undefined) return
    const code = isBucketName(request.bucket) ? 'NoSuchBucket' : 'InvalidBucketName'
    throw new S3Error(code, undefined, { BucketName: request.bucket })
  }

  #errorReply(error: unknown, incoming: IncomingMessage, requestId: string): Reply {
    const known =
      error instanceof S3Error
        ? error
        : new S3Error(error instanceof BucketGoneError ? 'NoSuchBucket' : 'InternalError')
    const resource = (incoming.url ?? '').split('?', 1)[0] ?? ''
    // A HEAD has no document to say it in, and it is what clients ask for a bucket's region with.
    const { Region: region } = known.details
    const headers = { 'content-type': 'application/xml', ...known.headers }
    return {
      status: known.status,
      headers: region === undefined ? headers : { ...headers, 'x-amz-bucket-region': region },
      body: errorXml(known, resource, requestId, this.#hostId),
    }
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse, reply: Reply, requestId: string): Promise<void> {
    const { status, body } = reply
    const headers = { ...this.#commonHeaders(requestId), ...reply.headers }
    if (typeof body === 'string' || body instanceof Uint8Array) {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body
      headers['content-length'] = String(bytes.length)
      // "HEAD … does not return a response body", for errors too.
      response.writeHead(status, headers).end(incoming.method === 'HEAD' ? undefined : bytes)
    } else if (body === undefined) {
      if (status !== 204 && status !== 304) headers['content-length'] ??= '0'
      response.writeHead(status, headers).end()
    } else {
      try {
        response.writeHead(status, headers)
      } catch (error) {
        body.object.close()
        throw error
      }
      await sendSection(response, body)
    }
  }

  #commonHeaders(requestId: string): Record<string, string> {
    return {
      'x-amz-request-id': requestId,
      'x-amz-id-2': this.#hostId,
      server: 'EmbeddedS3',
      ...(this.#closing ? { connection: 'close' } : {}),
    }
  }

  #slowAnswer(incoming: IncomingMessage, response: ServerResponse, request: S3Request, requestId: string): SlowAnswer {
    const headers = { ...this.#commonHeaders(requestId), ...this.#corsHeaders(request) }
    return new SlowAnswer(incoming, response, headers, this.#options.idleTimeout / BLANKS)
  }

  /** What node:http refused by itself: answered in S3's form, as far as the connection still takes it. */
  #refuse(error: Error, socket: Socket | import('node:stream').Duplex): void {
    const code = 'code' in error ? error.code : undefined
    if (!socket.writable || code === 'ECONNRESET') return void socket.destroy()
    const known = new S3Error(
      code === 'HPE_HEADER_OVERFLOW'
        ? 'RequestHeaderSectionTooLarge'
        : code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? 'RequestTimeout'
          : 'BadRequest',
    )
    const body = errorXml(known, '', this.#requestId(), this.#hostId)
    socket.end(
      `HTTP/1.1 ${known.status} ${http.STATUS_CODES[known.status]}\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  }

  #requestId(): string {
    this.#requests += 1
    return this.#idPrefix + this.#requests.toString(16).toUpperCase().padStart(8, '0')
  }
}

/** Those who did not sign learn nothing of what is done here and what is not. */
function routeFor(request: S3Request, identity: Identity): Operation {
  try {
    return route(request)
  } catch (error) {
    throw identity === 'anonymous' ? new S3Error('AccessDenied') : error
  }
}

/** What AWS configures new buckets with. */
export function bucketDefaults(blockPublicAccess: boolean): Record<string, string> {
  return blockPublicAccess ? { ...DEFAULT_SETTINGS, publicAccessBlock: BLOCK_ALL } : { ...DEFAULT_SETTINGS }
}

/** Without a body to read, the signed hash can only be that of nothing. */
function refuseFalseHash(request: S3Request, payloadHash: string): void {
  const hasBody = request.headers.has('transfer-encoding') || (request.headers.get('content-length') ?? '0') !== '0'
  if (!hasBody && /^[0-9a-f]{64}$/.test(payloadHash) && payloadHash !== EMPTY_SHA256) {
    throw new S3Error('XAmzContentSHA256Mismatch', undefined, {
      ClientComputedContentSHA256: payloadHash,
      S3ComputedContentSHA256: EMPTY_SHA256,
    })
  }
}

async function sendSection(response: ServerResponse, { object, start, length }: ObjectSection): Promise<void> {
  if (length === 0 || object.bytes !== undefined) {
    object.close()
    response.end(object.bytes?.subarray(start, start + length))
    return
  }
  const section = { fd: object.fd, start, end: start + length - 1, highWaterMark: READ_SIZE }
  await pipeline(fs.createReadStream('', section), response)
}

/**
 * Lets what is left of a body flow away, so that the answer reaches a client that is still sending (closing at once
 * would reset the connection and with it the answer); but not for ever.
 */
function drain(incoming: IncomingMessage): void {
  if (incoming.readableEnded || incoming.destroyed) return
  const cut = setTimeout(() => incoming.socket.destroy(), LINGER)
  // A body that ends after its answer closes nothing: the connection lives on, with other requests.
  for (const event of ['end', 'close']) incoming.once(event, () => clearTimeout(cut))
  incoming.on('error', () => undefined)
  // Not at once: whoever stopped listening for 'readable' just now stops the flow with it, one tick later.
  setImmediate(() => incoming.resume())
}
