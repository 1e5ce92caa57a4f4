import { Agent, type Dispatcher } from 'undici'
import { KeepsakeError } from '../../media/index.ts'
import type { OpenedSource } from '../source.ts'
import { guardedBody } from './body.ts'
import { guardedConnector, type Lookup } from './connector.ts'
import { failure } from './failure.ts'
import { checkStatus, redirectTarget } from './status.ts'
import { parseAllowHosts, parseTarget } from './target.ts'
import { TimeLimit } from './time-limit.ts'

export type GuardedFetchOptions = {
  /** `host` or `host:port`, as written in a URL: may be private, and plain http. */
  readonly allowHosts: readonly string[]
  /** Whether public hosts may be plain http. */
  readonly allowHttp: boolean
  /** Default: `Keepsake`. */
  readonly userAgent?: string
  /** Default: 5. */
  readonly maxRedirects?: number
  /** Seconds a hop may take to resolve, connect and shake hands. Default: 10. */
  readonly connectTimeout?: number
  /** Seconds a hop may take from the request to the answer's headers. Default: 30. */
  readonly headersTimeout?: number
  /** Seconds without a byte of the body, while the reader wants one. Default: 30. */
  readonly stallTimeout?: number
  /** Seconds for all hops and the whole body, slow readers included. Default: 900. */
  readonly totalDeadline?: number
  /** Instead of the system's resolver. */
  readonly lookup?: Lookup
  /** Certificate authority in PEM, instead of the public ones. */
  readonly ca?: string
}

export type FetchOptions = {
  readonly signal?: AbortSignal
  /** The largest body, in bytes that arrive. */
  readonly maxBytes: number
}

export type FetchedSource = OpenedSource & {
  /** What the server calls it: for messages only, since the type is what the first bytes say. */
  readonly contentType: string | null
  /** Those of content-type, content-disposition, etag and last-modified that the answer had. */
  readonly headers: Readonly<Record<string, string>>
}

/** Fetches from the outside world without being talked into anything else. */
export interface GuardedFetch {
  /**
   * Judges a URL by its text alone, without asking anybody; {@link GuardedFetch.open} does so too.
   *
   * @throws `invalid_source` (not a URL), `source_forbidden`.
   */
  check(url: string): void

  /**
   * Asks a URL for its content. Reading the body may throw `content_too_large`, `content_truncated` (retryable) and
   * `source_unavailable`; an abort throws the signal's reason. Close it, or read it to its end.
   *
   * No error names more of the URL than its scheme and host: the rest is a secret.
   *
   * @throws `invalid_source` (not a URL), `source_forbidden`, `source_gone` (it answers, and will not give the content),
   * `source_unavailable` (retryable, with `retryAfter` in seconds where the server said so), `content_too_large`.
   */
  open(url: string, options: FetchOptions): Promise<FetchedSource>

  /** Cuts what runs and lets go of connections. */
  close(): Promise<void>
}

/** Kept open for a short while between imports from one host: a TLS handshake costs more than a small picture. */
const idleSeconds = 4
const connectionsPerOrigin = 64
const keptHeaders = ['content-type', 'content-disposition', 'etag', 'last-modified'] as const

/**
 * A fetch that only reaches public hosts (and those allowed by name), follows no proxy from the environment, sends no
 * credentials, cookies or referrer, asks for identity encoding, and bounds time and bytes.
 *
 * @throws {KeepsakeError} `invalid_setting` for an entry of `allowHosts` that is not a host.
 */
export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  const { userAgent = 'Keepsake', maxRedirects = 5, connectTimeout = 10, headersTimeout = 30 } = options
  const { stallTimeout = 30, totalDeadline = 900 } = options
  const policy = { hosts: parseAllowHosts(options.allowHosts), allowHttp: options.allowHttp }
  // An Agent, unlike undici's global dispatcher, never looks for a proxy in the environment.
  const agent = new Agent({
    connect: guardedConnector({
      hosts: policy.hosts,
      lookup: options.lookup,
      timeout: connectTimeout * 1000,
      ca: options.ca,
    }),
    connections: connectionsPerOrigin,
    pipelining: 1,
    keepAliveTimeout: idleSeconds * 1000,
    keepAliveMaxTimeout: idleSeconds * 1000,
    headersTimeout: headersTimeout * 1000,
    bodyTimeout: stallTimeout * 1000,
  })
  const requestHeaders = { 'user-agent': userAgent, accept: '*/*', 'accept-encoding': 'identity' }

  const ask = async (url: URL, signal: AbortSignal): Promise<Dispatcher.ResponseData> => {
    const send = () =>
      agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET',
        headers: requestHeaders,
        signal,
      })
    try {
      try {
        return await send()
      } catch (error) {
        // A server may close an idle connection just as it is used again: ask once more (RFC 9112, section 9.3.1).
        if (signal.aborted || !isReset(error)) throw error
        return await send()
      }
    } catch (error) {
      throw failure(error, url.origin, signal, 'headers')
    }
  }

  return {
    check(text) {
      parseTarget(text, policy)
    },
    async open(text, { signal, maxBytes }) {
      let url = parseTarget(text, policy)
      const limit = new TimeLimit(totalDeadline, signal, url.origin)
      try {
        for (let hop = 0; ; hop += 1) {
          limit.signal.throwIfAborted()
          const response = await ask(url, limit.signal)
          const location = redirectTarget(response.statusCode, response.headers)
          if (location === undefined) return receive(response, url.origin, limit, maxBytes)
          discard(response)
          if (hop === maxRedirects) {
            throw new KeepsakeError(
              'source_gone',
              `${url.origin} redirects on, after ${maxRedirects} redirects already.`,
            )
          }
          url = parseTarget(location, policy, url)
        }
      } catch (error) {
        limit.release()
        throw error
      }
    },
    async close() {
      await agent.destroy()
    },
  }
}

function receive(response: Dispatcher.ResponseData, origin: string, limit: TimeLimit, maxBytes: number): FetchedSource {
  try {
    const { size, framed } = checkStatus(response.statusCode, response.headers, origin, maxBytes)
    const headers: Record<string, string> = {}
    for (const name of keptHeaders) {
      const value = response.headers[name]
      if (typeof value === 'string') headers[name] = value
    }
    const close = async () => {
      discard(response)
      limit.release()
    }
    // A time limit that strikes while nobody reads must not surface as an unhandled error of the stream.
    response.body.on('error', () => {})
    const body = guardedBody(response.body, { origin, limit, maxBytes, size })
    return { body, size, framed, close, contentType: headers['content-type'] ?? null, headers }
  } catch (error) {
    discard(response)
    throw error
  }
}

/** Drops an answer with its connection, rather than reading on for as long as the server likes. */
function discard(response: Dispatcher.ResponseData): void {
  response.body.on('error', () => {})
  response.body.destroy()
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET')
}
