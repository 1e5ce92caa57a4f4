import type { Clock } from '../clock.ts'
import { KeepsakeError } from '../media/index.ts'
import { ListedPage } from './listed-page.ts'
import type {
  CallOptions,
  CompleteMultipartOptions,
  CopyRequest,
  CreateMultipartRequest,
  GetOptions,
  HeadOptions,
  ListedObject,
  ListMultipartOptions,
  ListOptions,
  ListPartsOptions,
  MultipartPart,
  MultipartUpload,
  ObjectStore,
  PutPartRequest,
  PutRequest,
  SignGetOptions,
  SignPartOptions,
  SignPutOptions,
} from './object-store.ts'
import { inLine } from './s3/index.ts'

/** `open`: calls are refused at once. `half-open`: one probe is under way, and decides. */
export type CircuitState = 'closed' | 'open' | 'half-open'

export type CircuitOptions = {
  readonly clock: Clock
  /** Failures, less those that a success made good, that open it although probes are answered. Default: 5. */
  readonly failures?: number
  /** Seconds within which they count. Default: 30. */
  readonly window?: number
  /** Seconds between probes: the first pause, and the longest. Default: 1 and 10. */
  readonly pause?: { readonly base: number; readonly cap: number }
  /** Seconds after which a probe counts as failed. Default: 5. */
  readonly probeDeadline?: number
  /** Between 0 and 1, for the jitter of the pauses. Default: Math.random. */
  readonly random?: () => number
  readonly onChange?: (state: CircuitState) => void
}

/**
 * A store behind a circuit breaker. What counts is a call that failed although the store's own retries were spent:
 * `store_unavailable` and `timeout`. A refusal (`store_denied`, `object_missing` …) is an answer of a store that lives.
 *
 * A failure makes it probe the store, and where the probe fails too it opens: so a store that is down is known after one
 * call, however few there are. One that answers probes and fails calls is given some more of them.
 *
 * Once open, every call fails at once with `store_unavailable`, and nobody waits for a store that is known to be down.
 * Probes of its own, one at a time, with pauses that grow and scatter, find out when it is back: no caller's bytes are
 * ever spent on that. Signing is local, and passes always.
 */
export class Circuit implements ObjectStore {
  readonly #inner: ObjectStore
  readonly #options: CircuitOptions
  readonly #closed = new AbortController()
  /** Times of failures, in milliseconds; a success takes the oldest off. */
  readonly #failures: number[] = []
  #state: CircuitState = 'closed'
  #changedAt: Date
  /** A probe is under way because a call failed. */
  #suspecting = false
  /** When it closed last, in milliseconds. */
  #recoveredAt = Number.NEGATIVE_INFINITY
  /** How often the pause has doubled. */
  #doublings = 0

  constructor(inner: ObjectStore, options: CircuitOptions) {
    this.#inner = inner
    this.#options = options
    this.#changedAt = options.clock.now()
  }

  get name(): string {
    return this.#inner.name
  }

  get state(): CircuitState {
    return this.#state
  }

  /** Since when it is in this state; half-open counts as open. */
  get changedAt(): Date {
    return this.#changedAt
  }

  put(request: PutRequest) {
    return this.#call(() => this.#inner.put(request), request.signal)
  }

  copy(request: CopyRequest) {
    return this.#call(() => this.#inner.copy(request), request.signal)
  }

  get(key: string, options?: GetOptions) {
    return this.#call(() => this.#inner.get(key, options), options?.signal)
  }

  head(key: string, options?: HeadOptions) {
    return this.#call(() => this.#inner.head(key, options), options?.signal)
  }

  delete(keys: readonly string[], options?: CallOptions) {
    return this.#call(() => this.#inner.delete(keys, options), options?.signal)
  }

  list(options?: ListOptions) {
    return this.#each(() => this.#inner.list(options), options?.signal)
  }

  listPages(options?: ListOptions) {
    const { listPages } = this.#inner
    const open = () => (listPages ? listPages.call(this.#inner, options) : single(this.#inner.list(options)))
    return this.#each(open, options?.signal)
  }

  createMultipart(request: CreateMultipartRequest) {
    return this.#call(() => this.#inner.createMultipart(request), request.signal)
  }

  putPart(upload: MultipartUpload, request: PutPartRequest) {
    return this.#call(() => this.#inner.putPart(upload, request), request.signal)
  }

  completeMultipart(upload: MultipartUpload, parts: readonly MultipartPart[], options?: CompleteMultipartOptions) {
    return this.#call(() => this.#inner.completeMultipart(upload, parts, options), options?.signal)
  }

  abortMultipart(upload: MultipartUpload, options?: CallOptions) {
    return this.#call(() => this.#inner.abortMultipart(upload, options), options?.signal)
  }

  listParts(upload: MultipartUpload, options?: ListPartsOptions) {
    return this.#each(() => this.#inner.listParts(upload, options), options?.signal)
  }

  listMultipart(options?: ListMultipartOptions) {
    return this.#each(() => this.#inner.listMultipart(options), options?.signal)
  }

  check(options?: CallOptions) {
    return this.#call(() => this.#inner.check(options), options?.signal)
  }

  signGet(key: string, options: SignGetOptions) {
    return this.#inner.signGet(key, options)
  }

  signPut(key: string, options: SignPutOptions) {
    return this.#inner.signPut(key, options)
  }

  signPart(upload: MultipartUpload, options: SignPartOptions) {
    return this.#inner.signPart(upload, options)
  }

  close(): Promise<void> {
    this.#closed.abort()
    return this.#inner.close()
  }

  async #call<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    this.#requireClosed()
    try {
      const result = await work()
      this.#failures.shift()
      return result
    } catch (error) {
      this.#note(error, signal)
      throw error
    }
  }

  async *#each<T>(open: () => AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T, void, undefined> {
    this.#requireClosed()
    try {
      yield* open()
      this.#failures.shift()
    } catch (error) {
      this.#note(error, signal)
      throw error
    }
  }

  #requireClosed(): void {
    if (this.#state === 'closed') return
    throw new KeepsakeError(
      'store_unavailable',
      `${this.name} is failing since ${this.#changedAt.toISOString()} and is not asked for now. It is used again as soon as it answers.`,
      { retryAfter: Math.ceil(this.#pause.base), details: { reason: 'circuit_open' } },
    )
  }

  #note(error: unknown, signal: AbortSignal | undefined): void {
    // Whoever lost patience says nothing about the store.
    if (signal?.aborted || this.#state !== 'closed') return
    if (!isStoreFailure(error)) {
      this.#failures.shift()
      return
    }
    const { clock, failures = 5 } = this.#options
    const now = clock.now().getTime()
    while (this.#failures[0] !== undefined && Math.abs(now - this.#failures[0]) > this.#window) this.#failures.shift()
    this.#failures.push(now)
    if (this.#failures.length >= failures) this.#open()
    else void this.#suspect()
  }

  async #suspect(): Promise<void> {
    if (this.#suspecting) return
    this.#suspecting = true
    const isUp = await this.#probe(this.#closed.signal)
    this.#suspecting = false
    if (!isUp && this.#state === 'closed' && !this.#closed.signal.aborted) this.#open()
  }

  /** Milliseconds. */
  get #window(): number {
    return (this.#options.window ?? 30) * 1000
  }

  #open(): void {
    const { clock } = this.#options
    // One that fails again as soon as it is back is asked less and less often.
    const isRelapse = clock.now().getTime() - this.#recoveredAt <= this.#window
    this.#doublings = isRelapse ? this.#doublings + 1 : 0
    this.#failures.length = 0
    this.#changedAt = clock.now()
    this.#change('open')
    void this.#recover()
  }

  async #recover(): Promise<void> {
    const { clock, random = Math.random } = this.#options
    const { signal } = this.#closed
    while (!signal.aborted) {
      const { base, cap } = this.#pause
      const pause = Math.min(cap, base * 2 ** this.#doublings)
      await clock.sleep(pause / 2 + (random() * pause) / 2, signal)
      if (signal.aborted) return
      this.#change('half-open')
      if (await this.#probe(signal)) {
        this.#changedAt = clock.now()
        this.#recoveredAt = this.#changedAt.getTime()
        this.#change('closed')
        return
      }
      this.#doublings += 1
      this.#change('open')
    }
  }

  /** Any answer is a sign of life: what credentials or a policy refuse, a circuit does not mend. */
  async #probe(closed: AbortSignal): Promise<boolean> {
    const { clock, probeDeadline = 5 } = this.#options
    const late = new AbortController()
    const answered = new AbortController()
    void clock.sleep(probeDeadline, AbortSignal.any([answered.signal, closed])).then(() => late.abort())
    try {
      await this.#inner.check({ signal: late.signal })
      return true
    } catch (error) {
      return !late.signal.aborted && !isStoreFailure(error)
    } finally {
      answered.abort()
    }
  }

  get #pause() {
    return this.#options.pause ?? { base: 1, cap: 10 }
  }

  #change(state: CircuitState): void {
    this.#state = state
    this.#options.onChange?.(state)
  }
}

/** Whether it is the store that fails, and not what was asked of it. */
export function isStoreFailure(error: unknown): boolean {
  // Whoever waited in line for our own other requests has not met the store.
  return KeepsakeError.is(error, 'store_unavailable', 'timeout') && error.details.reason !== inLine
}

async function* single(objects: AsyncIterable<ListedObject>): AsyncGenerator<ListedPage, void, undefined> {
  for await (const object of objects) yield ListedPage.ofObjects([object])
}
