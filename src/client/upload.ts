import type { Api } from './api.ts'
import { KeepsakeClientError } from './error.ts'
import { pause, retry } from './retry.ts'
import { forget, recall, remember } from './saved.ts'
import { send, type Target } from './send.ts'
import type { Asset, Upload, UploadOptions } from './types.ts'

type PartTarget = Target & { readonly partNumber: number }

/** What the server wants done with the bytes; null where it has them. */
type Plan =
  | ({ readonly strategy: 'put' } & Target)
  | {
      readonly strategy: 'multipart'
      readonly partSize: number
      readonly partCount: number
      /** Signed already. */
      readonly parts: readonly PartTarget[]
    }
  | null
type Ticket = {
  readonly asset: Asset
  readonly upload: Plan
  /** Of an upload that was begun earlier: what has arrived. */
  readonly uploadedParts?: readonly { readonly partNumber: number }[]
}

/** Bytes up to which a file is read twice for the sake of its hash: it has to be in memory for that. */
const hashLimit = 16 * 1024 * 1024
/** Part URLs that are asked for at once. They live for an hour at most, which a slow line needs. */
const signAtOnce = 16
/** Each answer that is still pending took the server's own patience, the better part of a minute. */
const maxAsked = 200
/** Milliseconds. */
const pendingPause = 3_000

/** Files that this page is uploading: a second upload of one of them is another asset, and remembers nothing. */
const underWay = new Set<string>()

/** Starts to upload at once. `place` tells installations apart: their API's address. */
export function startUpload(api: Api, place: string, file: Blob, options: UploadOptions): Upload {
  const transfer = new Transfer(api, place, file, options)
  const { signal } = options
  const abort = () => transfer.abort(signal?.reason)
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  const done = transfer.run().finally(() => signal?.removeEventListener('abort', abort))
  return Object.assign(done, {
    pause: () => transfer.pause(),
    resume: () => transfer.resume(),
    abort: () => transfer.abort(),
  })
}

class Transfer {
  readonly #api: Api
  readonly #file: Blob
  readonly #options: UploadOptions
  /** By which a page that comes back knows the file; undefined for what is no file, or is under way already. */
  readonly #fingerprint: string | undefined
  readonly #stop = new AbortController()
  /** Aborted when one part has failed for good. */
  readonly #failed = new AbortController()
  /** Aborted by a pause; there is a new one after it. */
  #going = new AbortController()
  #resumed = Promise.withResolvers<void>()
  /** Bytes on their way or arrived, by part. */
  readonly #sent = new Map<number, number>()
  #loaded = -1

  constructor(api: Api, place: string, file: Blob, options: UploadOptions) {
    this.#api = api
    this.#file = file
    this.#options = options
    this.#resumed.resolve()
    if (options.resumable !== false && file instanceof File && file.name !== '') {
      // Not how it is sent: only what is asked for makes it the same upload. Functions are nothing to JSON.
      const { signal: _, parallel: __, resumable: ___, ...asked } = options
      const { name, size, lastModified, type } = file
      const key = JSON.stringify([place, name, size, lastModified, type, asked])
      if (!underWay.has(key)) this.#fingerprint = key
    }
  }

  async run(): Promise<Asset> {
    const key = this.#fingerprint
    const { signal } = this.#stop
    let id: string | undefined
    if (key) underWay.add(key)
    try {
      signal.throwIfAborted()
      const begun = await this.#recall()
      // Not before: whoever is told then has the upload in hand.
      this.#report()
      const ticket = begun ?? (await this.#begin())
      let { asset } = ticket
      id = asset.id
      if (asset.state === 'pending') {
        // 404: the bucket knows the upload no more. Another tab was faster, or it is over; the server tells which.
        await this.#send(ticket).catch((error?: KeepsakeClientError) => {
          if (error?.status !== 404) throw error
        })
        await this.#resumed.promise
        signal.throwIfAborted()
        // Pending: what is large takes longer to verify than a request may. Asking again waits on.
        for (let asked = 0; asset.state === 'pending' && asked < maxAsked; asked += 1) {
          if (asked > 0) await pause(pendingPause, signal)
          asset = await this.#api<Asset>('POST', `/v1/uploads/${id}/complete`, {}, signal)
        }
      }
      this.#report(0, this.#file.size)
      if (key) await forget(key)
      return asset
    } catch (error) {
      const { aborted } = signal
      // 409: what arrived is gone from the bucket. The next try begins anew.
      if (key && (aborted || (error instanceof KeepsakeClientError && error.status === 409))) await forget(key)
      // What cannot be removed now, the server removes by itself once nobody has completed it.
      if (aborted && id)
        await this.#api('DELETE', `/v1/uploads/${id}`, undefined, AbortSignal.timeout(10_000)).catch(() => {})
      throw error
    } finally {
      if (key) underWay.delete(key)
    }
  }

  pause(): void {
    if (this.#going.signal.aborted) return
    this.#resumed = Promise.withResolvers()
    this.#going.abort()
  }

  resume(): void {
    if (!this.#going.signal.aborted) return
    this.#going = new AbortController()
    this.#resumed.resolve()
  }

  abort(reason: unknown = new DOMException('The upload was aborted.', 'AbortError')): void {
    this.#stop.abort(reason)
    this.resume()
  }

  /** An upload of this file that an earlier page began, unless it has come to its end. */
  async #recall(): Promise<Ticket | undefined> {
    const id = this.#fingerprint && (await recall(this.#fingerprint))
    if (!id) return undefined
    try {
      const begun = await this.#api<Ticket>('GET', `/v1/uploads/${id}`, undefined, this.#stop.signal)
      return ['pending', 'stored'].includes(begun.asset.state) ? begun : undefined
    } catch (error) {
      if (error instanceof KeepsakeClientError && [404, 410].includes(error.status)) return undefined
      throw error
    }
  }

  async #begin(): Promise<Ticket> {
    const { collection, owner, attributes, provenance, filename, keep, contentType } = this.#options
    const file = this.#file
    const ticket = await this.#api<Ticket>(
      'POST',
      `/v1/collections/${encodeURIComponent(collection)}/uploads`,
      {
        ...{ owner, attributes, provenance, keep, size: file.size, sha256: await hash(file) },
        contentType: contentType ?? (file.type || 'application/octet-stream'),
        filename: filename ?? (file instanceof File ? file.name : undefined),
      },
      this.#stop.signal,
      // Sent again after a lost answer, it is still one upload.
      { 'idempotency-key': `${Date.now()}-${Math.random()}` },
    )
    // One that goes in a single request would be sent again from its start in any case.
    if (this.#fingerprint && ticket.upload?.strategy === 'multipart') await remember(this.#fingerprint, ticket.asset.id)
    return ticket
  }

  async #send({ asset: { id }, upload, uploadedParts = [] }: Ticket): Promise<void> {
    if (upload?.strategy !== 'multipart') return this.#sendWhole(id, upload)
    const { partSize, partCount } = upload
    const slice = (part: number) => this.#file.slice((part - 1) * partSize, part * partSize)
    for (const { partNumber } of uploadedParts) this.#sent.set(partNumber, slice(partNumber).size)
    const missing = Array.from({ length: partCount }, (_, index) => index + 1).filter((part) => !this.#sent.has(part))
    const targets = new Map(upload.parts.map((target) => [target.partNumber, target]))
    let signing: Promise<void> | undefined

    const sign = async (part: number, signal: AbortSignal) => {
      const next = missing.filter((other) => !targets.has(other)).slice(0, signAtOnce - 1)
      const { parts } = await this.#api<{ parts: PartTarget[] }>(
        'POST',
        `/v1/uploads/${id}/parts`,
        { partNumbers: [part, ...next] },
        signal,
      )
      for (const target of parts) targets.set(target.partNumber, target)
    }
    const worker = async () => {
      for (let part = missing.shift(); part !== undefined; part = missing.shift()) {
        const number = part
        await this.#patiently(async (signal) => {
          await signing?.catch(() => {})
          if (!targets.has(number)) {
            signing = sign(number, signal)
            await signing
          }
          const target = targets.get(number)
          if (!target) throw new KeepsakeClientError('unexpected_answer', 200, `There is no URL for part ${number}.`)
          // Each URL is tried once: the next try has a fresh one, should this one have expired.
          targets.delete(number)
          await send(target, slice(number), (bytes) => this.#report(number, bytes), signal)
        })
      }
    }
    try {
      await Promise.all(Array.from({ length: this.#options.parallel ?? 4 }, worker))
    } catch (error) {
      // The other workers have nothing to go on for.
      missing.length = 0
      this.#failed.abort(error)
      throw error
    }
  }

  async #sendWhole(id: string, first: Plan): Promise<void> {
    let plan: Plan | undefined = first
    await this.#patiently(async (signal) => {
      // A second try takes a fresh URL: the first one may have expired.
      plan ??= (await this.#api<Ticket>('GET', `/v1/uploads/${id}`, undefined, signal)).upload
      const target = plan
      plan = undefined
      if (target?.strategy === 'put') {
        await send(target, this.#file, (bytes) => this.#report(0, bytes), signal)
      }
    })
  }

  /** Does work that sends, again where that failed for now, and anew after a pause. */
  async #patiently(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    for (;;) {
      await this.#resumed.promise
      const going = this.#going.signal
      const signal = AbortSignal.any([going, this.#stop.signal, this.#failed.signal])
      try {
        return await retry(() => work(signal), isPassing, signal)
      } catch (error) {
        if (!going.aborted || this.#stop.signal.aborted) throw error
      }
    }
  }

  #report(part = 0, bytes = 0): void {
    this.#sent.set(part, bytes)
    let loaded = 0
    for (const sent of this.#sent.values()) loaded += sent
    const total = this.#file.size
    loaded = Math.min(loaded, total)
    // A part that starts again takes nothing back from what was shown.
    if (loaded <= this.#loaded) return
    this.#loaded = loaded
    this.#options.onProgress?.({ loaded, total })
  }
}

/** What the API refuses is final, what the bucket refuses is not: the URL may have expired. An upload that is gone is. */
function isPassing({ code, status }: KeepsakeClientError): boolean {
  return code.startsWith('storage_') && status !== 404
}

/** Hex; undefined where it would cost too much, or where a page is not served securely and may not. */
async function hash(file: Blob): Promise<string | undefined> {
  if (file.size > hashLimit || !globalThis.crypto?.subtle) return undefined
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
