import { KeepsakeClientError } from './error.ts'
import { retry } from './retry.ts'

/** One call of the HTTP API; what the answer holds is the contract's (docs/http.md). */
export type Api = <Answer>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>

export type ApiOptions = {
  /** Where Keepsake's API is, e.g. `https://media.example`, or a path of this page's own origin. */
  readonly url: string
  /** A user's JWT (in a server or a script, an API key). */
  readonly token?: string | undefined
  /** Asked before every request, for tokens that are renewed. */
  readonly getToken?: (() => string | undefined | Promise<string | undefined>) | undefined
}

/** Milliseconds. Completing an upload makes the bucket join its parts, which may take a while. */
const timeout = 120_000
const passing = [0, 408, 429, 502, 503, 504]

/** @throws {KeepsakeClientError} what the API refused, or that it did not answer for too long. */
export function createApi({ url, token, getToken }: ApiOptions): Api {
  const base = url.replace(/\/+$/, '')

  async function call<Answer>(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const bearer = getToken ? await getToken() : token
    let response: Response
    let answer: unknown
    try {
      response = await fetch(base + path, {
        method,
        headers: {
          ...headers,
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        // Of undefined it makes undefined: no body.
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
      })
      answer = parse(await response.text())
    } catch {
      signal.throwIfAborted()
      throw new KeepsakeClientError(
        'network',
        0,
        'Keepsake does not answer: no network, or its CORS refuses this origin.',
      )
    }
    if (response.ok && answer !== undefined) return answer as Answer
    throw toError(response, answer)
  }

  return (method, path, body, signal = new AbortController().signal, headers) =>
    retry(
      () => call(method, path, body, signal, headers),
      ({ status }) => passing.includes(status),
      signal,
    )
}

/** Undefined for what is no JSON; null for nothing at all, as in a 204. */
function parse(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** RFC 9457 problem details, or what a proxy made up in their place. */
function toError({ status, headers }: Response, answer: unknown): KeepsakeClientError {
  const problem = { ...(answer as Partial<Record<'code' | 'detail' | 'requestId', string>> | null | undefined) }
  return new KeepsakeClientError(
    problem.code ?? 'unexpected_answer',
    status,
    problem.detail ?? `What answered ${status} is not Keepsake. Check the client's url.`,
    problem.requestId,
    Number(headers.get('retry-after')) || 0,
  )
}
