import type { MultipartPart } from './object-store.ts'

export type SendPartsOptions<P> = {
  /** Taken one after the other, and only when a place is free. */
  readonly parts: Iterable<P> | AsyncIterable<P>
  readonly parallel: number
  readonly signal: AbortSignal | undefined
  readonly send: (part: P, signal: AbortSignal) => Promise<MultipartPart>
  readonly complete: (parts: readonly MultipartPart[]) => Promise<{ readonly etag: string }>
  readonly abort: (signal: AbortSignal) => Promise<void>
}

/** The time (milliseconds) for taking back what failed; the caller may have given up long before. */
const abortMillis = 30_000

/**
 * Sends the parts of one upload, several at a time, and completes it. When anything fails, the requests under way are
 * stopped and waited for, and the upload is aborted: a part that arrives after an abort would stay (AWS,
 * AbortMultipartUpload). What cannot be aborted is for the sweep.
 */
export async function sendParts<P>(options: SendPartsOptions<P>): Promise<{ readonly etag: string }> {
  const { parts, parallel, send, complete, abort } = options
  const stop = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal
  const arrived: MultipartPart[] = []
  const running = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  const start = (part: P) => {
    const sending = send(part, signal)
      .then((sent) => void arrived.push(sent))
      .catch((error: unknown) => {
        failure ??= { error }
        stop.abort(error)
      })
      .finally(() => running.delete(sending))
    running.add(sending)
  }
  try {
    for await (const part of parts) {
      start(part)
      while (running.size >= parallel && !failure) await Promise.race(running)
      if (failure) break
    }
    await Promise.all(running)
    if (failure) throw failure.error
    return await complete(arrived.sort((a, b) => a.partNumber - b.partNumber))
  } catch (error) {
    stop.abort(error)
    await Promise.all(running)
    await abort(AbortSignal.timeout(abortMillis)).catch(() => undefined)
    throw error
  }
}
