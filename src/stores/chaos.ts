import { KeepsakeError } from '../media/index.ts'
import type { CheckedBody, ObjectContent, ObjectStore } from './object-store.ts'
import { readBody } from './read-body.ts'

/**
 * What becomes of a call.
 * - `ok`: it happens.
 * - `fail`: nothing happens, and it errs.
 * - `applied-but-errored`: it happens, and it errs. A get errs half way through its body, a list after its last object.
 * - `lands-later`: it errs now, and happens at {@link ChaosStore.landLate}. A call that only reads just fails.
 */
export type ChaosOutcome = 'ok' | 'fail' | 'applied-but-errored' | 'lands-later'

export type ChaosCall = {
  readonly verb:
    | 'put'
    | 'get'
    | 'head'
    | 'delete'
    | 'list'
    | 'check'
    | 'copy'
    | 'createMultipart'
    | 'putPart'
    | 'completeMultipart'
    | 'abortMultipart'
    | 'listParts'
    | 'listMultipart'
  readonly keys: readonly string[]
  /** 0 for the first call of the store. */
  readonly number: number
}

export type ChaosDecision = ChaosOutcome | { readonly outcome: ChaosOutcome; readonly error?: KeepsakeError }

export type ChaosOptions = {
  readonly decide: (call: ChaosCall) => ChaosDecision
  /** Waited for before each call: a delay, or a gate that a test opens. Default: none. */
  readonly before?: (call: ChaosCall) => Promise<void>
}

export interface ChaosStore extends ObjectStore {
  /** Every call so far. */
  readonly calls: readonly ChaosCall[]
  /** Writes that have not landed yet. */
  readonly lateCount: number
  /** Lets the late writes happen, oldest first. A create-only put that comes too late is refused, as a store would. */
  landLate(): Promise<void>
}

/** An object store whose calls go wrong as a test decides. Without timers: the same decisions give the same run. */
export function createChaosStore(inner: ObjectStore, options: ChaosOptions): ChaosStore {
  const calls: ChaosCall[] = []
  let late: (() => Promise<unknown>)[] = []

  async function decide(verb: ChaosCall['verb'], keys: readonly string[]) {
    const call = { verb, keys, number: calls.length }
    calls.push(call)
    await options.before?.(call)
    const decision = options.decide(call)
    const outcome = typeof decision === 'string' ? decision : decision.outcome
    const given = typeof decision === 'string' ? undefined : decision.error
    const error = given ?? new KeepsakeError('store_unavailable', `The store failed (chaos: ${outcome} of ${verb}).`)
    return { outcome, error }
  }

  async function write<T>(call: {
    readonly verb: ChaosCall['verb']
    readonly keys: readonly string[]
    readonly apply: () => Promise<T>
    /** Takes along what the caller will not have any more when the write lands. */
    readonly keep: () => Promise<() => Promise<T>>
  }): Promise<T> {
    const { outcome, error } = await decide(call.verb, call.keys)
    if (outcome === 'fail') throw error
    if (outcome === 'lands-later') {
      late.push(await call.keep())
      throw error
    }
    const result = await call.apply()
    if (outcome !== 'ok') throw error
    return result
  }

  async function read<T>(verb: ChaosCall['verb'], keys: readonly string[], apply: () => Promise<T>): Promise<T> {
    const { outcome, error } = await decide(verb, keys)
    if (outcome !== 'ok') throw error
    return await apply()
  }

  async function* listed<T>(
    verb: ChaosCall['verb'],
    keys: readonly string[],
    open: () => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    const { outcome, error } = await decide(verb, keys)
    if (outcome === 'fail' || outcome === 'lands-later') throw error
    yield* open()
    if (outcome !== 'ok') throw error
  }

  return {
    name: inner.name,
    calls,
    get lateCount() {
      return late.length
    },

    async landLate() {
      const writes = late
      late = []
      for (const apply of writes) {
        await apply().catch((error: unknown) => {
          if (!KeepsakeError.is(error)) throw error
        })
      }
    },

    put: (request) =>
      write({
        verb: 'put',
        keys: [request.key],
        apply: () => inner.put(request),
        keep: async () => {
          const { signal: _, ...rest } = request
          const body = await snapshot(request)
          return () => inner.put({ ...rest, body })
        },
      }),

    copy: (request) =>
      write({
        verb: 'copy',
        keys: [request.key],
        apply: () => inner.copy(request),
        keep: async () => {
          const { signal: _, ...rest } = request
          return () => inner.copy(rest)
        },
      }),

    createMultipart: (request) =>
      write({
        verb: 'createMultipart',
        keys: [request.key],
        apply: () => inner.createMultipart(request),
        keep: async () => {
          const { signal: _, ...rest } = request
          return () => inner.createMultipart(rest)
        },
      }),

    putPart: (upload, request) =>
      write({
        verb: 'putPart',
        keys: [upload.key],
        apply: () => inner.putPart(upload, request),
        keep: async () => {
          const { signal: _, ...rest } = request
          const body = await snapshot(request)
          return () => inner.putPart(upload, { ...rest, body })
        },
      }),

    completeMultipart: (upload, parts, call) =>
      write({
        verb: 'completeMultipart',
        keys: [upload.key],
        apply: () => inner.completeMultipart(upload, parts, call),
        keep: async () => {
          const { signal: _, ...rest } = call ?? {}
          return () => inner.completeMultipart(upload, [...parts], rest)
        },
      }),

    abortMultipart: (upload, call) =>
      write({
        verb: 'abortMultipart',
        keys: [upload.key],
        apply: () => inner.abortMultipart(upload, call),
        keep: async () => () => inner.abortMultipart(upload),
      }),

    listParts: (upload, call) => listed('listParts', [upload.key], () => inner.listParts(upload, call)),
    listMultipart: (call) => listed('listMultipart', [], () => inner.listMultipart(call)),

    delete: (keys, call) =>
      write({
        verb: 'delete',
        keys,
        apply: () => inner.delete(keys, call),
        keep: async () => () => inner.delete([...keys]),
      }),

    async get(key, call): Promise<ObjectContent> {
      const { outcome, error } = await decide('get', [key])
      if (outcome === 'fail' || outcome === 'lands-later') throw error
      const content = await inner.get(key, call)
      return outcome === 'ok' ? content : { ...content, body: cut(content, error) }
    },

    head: (key, call) => read('head', [key], () => inner.head(key, call)),

    list: (call) => listed('list', [], () => inner.list(call)),
    check: (call) => read('check', [], () => inner.check(call)),
    signGet: (key, call) => inner.signGet(key, call),
    signPut: (key, call) => inner.signPut(key, call),
    signPart: (upload, call) => inner.signPart(upload, call),
    close: () => inner.close(),
  }
}

/** Decisions out of a seed: the same seed and calls give the same faults. `weights` say how often; `ok` takes the rest. */
export function seededChaos(
  seed: number,
  weights: Readonly<Partial<Record<Exclude<ChaosOutcome, 'ok'>, number>>>,
): (call: ChaosCall) => ChaosOutcome {
  const random = mulberry32(seed)
  return () => {
    let point = random()
    for (const outcome of ['fail', 'applied-but-errored', 'lands-later'] as const) {
      point -= weights[outcome] ?? 0
      if (point < 0) return outcome
    }
    return 'ok'
  }
}

async function snapshot({ body, size }: CheckedBody): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of readBody(body, size)) pieces.push(Uint8Array.from(piece))
  return Buffer.concat(pieces)
}

async function* cut(content: ObjectContent, error: KeepsakeError): AsyncGenerator<Uint8Array> {
  const half = Math.floor(content.contentLength / 2)
  let given = 0
  for await (const piece of content.body) {
    const part = piece.subarray(0, half - given)
    given += part.length
    if (part.length > 0) yield part
    if (given >= half) break
  }
  throw error
}

/** A small well-mixed generator: 32 bits of state, the same numbers everywhere. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
