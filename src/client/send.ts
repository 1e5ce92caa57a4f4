import { KeepsakeClientError } from './error.ts'

/** A presigned request. */
export type Target = {
  readonly method?: string | undefined
  readonly url: string
  /** Without those that browsers set by themselves and refuse to be told: the server leaves them out. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** The part of the browser's XMLHttpRequest that is used here: fetch cannot tell how far a body has got. */
type Xhr = {
  readonly status: number
  readonly upload: { onprogress: ((event: { readonly loaded: number }) => void) | null }
  onload: (() => void) | null
  onerror: (() => void) | null
  open(method: string, url: string): void
  setRequestHeader(name: string, value: string): void
  send(body: Blob): void
  abort(): void
}
declare const XMLHttpRequest: (new () => Xhr) | undefined

/** Milliseconds without any progress after which a connection is given up. */
const stall = 60_000
/** Bytes a millisecond that a connection must manage where progress cannot be seen. */
const slowest = 8

/**
 * Sends a body to the bucket.
 *
 * @throws {KeepsakeClientError} `storage_refused`, `storage_unreachable`
 */
export async function send(
  target: Target,
  body: Blob,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const { method = 'PUT', url, headers = {} } = target
  const entries = Object.entries(headers)
  const status = await (typeof XMLHttpRequest === 'function'
    ? byXhr(new XMLHttpRequest(), method, url, entries, body, onSent, signal)
    : byFetch(method, url, entries, body, signal))
  // 412: create-only, and it is there: an earlier try had arrived although its answer did not. Completing verifies it.
  if ((status >= 200 && status < 300) || status === 412) return onSent(body.size)
  if (status > 0) throw new KeepsakeClientError('storage_refused', status, `The bucket refused the bytes: ${status}.`)
  throw new KeepsakeClientError(
    'storage_unreachable',
    0,
    'The bucket does not answer: no network, or its CORS refuses this origin.',
  )
}

/** The status; 0 where there was no answer. */
function byXhr(
  xhr: Xhr,
  method: string,
  url: string,
  headers: readonly (readonly [string, string])[],
  body: Blob,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout>
    const over = new AbortController()
    const end = (settle: () => void) => {
      clearTimeout(timer)
      over.abort()
      settle()
    }
    const watch = () => {
      clearTimeout(timer)
      timer = setTimeout(() => {
        xhr.abort()
        end(() => resolve(0))
      }, stall)
    }
    xhr.open(method, url)
    for (const [name, value] of headers) xhr.setRequestHeader(name, value)
    xhr.upload.onprogress = ({ loaded }) => {
      watch()
      onSent(loaded)
    }
    xhr.onload = xhr.onerror = () => end(() => resolve(xhr.status))
    signal.addEventListener(
      'abort',
      () => {
        xhr.abort()
        end(() => reject(signal.reason))
      },
      over,
    )
    watch()
    xhr.send(body)
  })
}

async function byFetch(
  method: string,
  url: string,
  headers: [string, string][],
  body: Blob,
  signal: AbortSignal,
): Promise<number> {
  try {
    const deadline = AbortSignal.timeout(stall + body.size / slowest)
    const response = await fetch(url, { method, headers, body, signal: AbortSignal.any([signal, deadline]) })
    await response.arrayBuffer()
    return response.status
  } catch {
    signal.throwIfAborted()
    return 0
  }
}
