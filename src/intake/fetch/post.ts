import { Agent } from 'undici'
import { KeepsakeError } from '../../media/index.ts'
import { guardedConnector, type Lookup } from './connector.ts'
import { failure } from './failure.ts'
import { parseAllowHosts, parseTarget } from './target.ts'
import { TimeLimit } from './time-limit.ts'

export type GuardedPostOptions = {
  /** `host` or `host:port`, as written in a URL: may be private, and plain http. */
  readonly allowHosts: readonly string[]
  /** The setting that `allowHosts` comes from, for messages. */
  readonly allowSetting: string
  /** Default: `Keepsake`. */
  readonly userAgent?: string
  /** Seconds for connecting, sending and the whole answer. Default: 20. */
  readonly deadline?: number
  /** Instead of the system's resolver. */
  readonly lookup?: Lookup
}

export type PostRequest = {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal?: AbortSignal
}

/** What an answer says; its body is nobody's business. */
export type PostAnswer = {
  readonly status: number
  /** Seconds, where it says so. */
  readonly retryAfter: number | null
}

/** Sends to the outside world by the rules of the guarded fetch: public hosts, https, no proxy, and no redirect followed. */
export interface GuardedPost {
  /**
   * @throws {KeepsakeError} `invalid_setting` for an address that would never be sent to, as far as its text tells.
   */
  check(url: string): void

  /**
   * Any status is an answer. No error names more of the URL than its scheme and host.
   *
   * @throws {KeepsakeError} `source_forbidden`, `source_unavailable`; an abort throws the signal's reason.
   */
  send(url: string, request: PostRequest): Promise<PostAnswer>

  close(): Promise<void>
}

/** Bytes of an answer that are read, so that its connection can be used again. */
const smallAnswer = 16 * 1024
const idleSeconds = 4
const connectTimeout = 10
const longestRetryAfter = 86_400

/** @throws {KeepsakeError} `invalid_setting` for an entry of `allowHosts` that is not a host. */
export function createGuardedPost(options: GuardedPostOptions): GuardedPost {
  const { userAgent = 'Keepsake', deadline = 20, allowSetting } = options
  const policy = { hosts: parseAllowHosts(options.allowHosts), allowHttp: false }
  const agent = new Agent({
    connect: guardedConnector({
      hosts: policy.hosts,
      lookup: options.lookup,
      timeout: connectTimeout * 1000,
      ca: undefined,
    }),
    connections: 8,
    pipelining: 1,
    keepAliveTimeout: idleSeconds * 1000,
    keepAliveMaxTimeout: idleSeconds * 1000,
  })

  const target = (text: string): URL => {
    try {
      return parseTarget(text, policy)
    } catch (error) {
      throw notAllowed(error, text)
    }
  }
  /** The rules are those of imports; their words are about sources. */
  const notAllowed = (error: unknown, text: string): unknown => {
    if (!KeepsakeError.is(error, 'source_forbidden', 'invalid_source')) return error
    const origin = URL.parse(text)?.origin ?? 'The address'
    return new KeepsakeError(
      'source_forbidden',
      `${origin} may not be sent to: it must be https at a public address, without a user or password. A host of your ` +
        `own is allowed by ${allowSetting}.`,
      { retryable: false },
    )
  }

  return {
    check(url) {
      try {
        target(url)
      } catch (error) {
        throw new KeepsakeError('invalid_setting', KeepsakeError.from(error).message)
      }
    },
    async send(text, { headers, body, signal: outer }) {
      const url = target(text)
      const limit = new TimeLimit(deadline, outer, url.origin)
      try {
        const response = await agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: 'POST',
          headers: { 'user-agent': userAgent, ...headers },
          body,
          signal: limit.signal,
        })
        response.body.on('error', () => {})
        // The status is the answer: a body that breaks off after it takes nothing back.
        await response.body.dump({ limit: smallAnswer, signal: limit.signal }).catch(() => {})
        return { status: response.statusCode, retryAfter: secondsOf(response.headers['retry-after']) }
      } catch (error) {
        throw notAllowed(failure(error, url.origin, limit.signal, 'headers'), text)
      } finally {
        limit.release()
      }
    },
    close: () => agent.destroy(),
  }
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function secondsOf(header: string | string[] | undefined): number | null {
  if (typeof header !== 'string') return null
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds), longestRetryAfter) : null
}
