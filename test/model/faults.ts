import type { KeepsakeError } from '../../src/media/index.ts'

/** What can become of one call to a port, or of the process that makes it. */
export const faults = [
  'ok',
  'slow',
  'fail',
  'applied-but-errored',
  'lands-later',
  'killed-before',
  'killed-after',
] as const
export type Fault = (typeof faults)[number]

/** What befalls the next so many calls of one method. */
export type FaultRule = { readonly method: string; readonly fault: Fault; readonly times: number }

/** The faults of one step, drawn by the calls as they come. */
export class FaultPlan {
  #rules: { method: string; fault: Fault; left: number }[] = []

  set(rules: readonly FaultRule[]): void {
    this.#rules = rules.map(({ method, fault, times }) => ({ method, fault, left: times }))
  }

  next(method: string): Fault {
    const rule = this.#rules.find((it) => it.method === method && it.left > 0)
    if (rule === undefined) return 'ok'
    rule.left -= 1
    return rule.fault
  }
}

/** Calls that were answered with an error and take effect later, in the order they were made. */
export class LateCalls {
  #calls: (() => Promise<unknown>)[] = []
  readonly #underWay = new Set<Promise<unknown>>()

  /** Notes a call that was sent. It reaches the other side even when the process that sent it dies meanwhile. */
  sent<T>(call: Promise<T>): Promise<T> {
    this.#underWay.add(call)
    const arrived = () => this.#underWay.delete(call)
    call.then(arrived, arrived)
    return call
  }

  /** Until everything that was sent has arrived, so that a look at the world sees one moment of it. */
  async quiet(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  add(call: () => Promise<unknown>): void {
    this.#calls.push(call)
  }

  /** Lets them take effect; what they answer, nobody hears. */
  async land(): Promise<void> {
    const calls = this.#calls
    this.#calls = []
    for (const call of calls) await call().catch(() => {})
  }
}

/** A process that can be killed with kill -9: from then on nothing it waits for ever answers. */
export class Mortal {
  killed = false
  readonly #deaths: (() => void)[] = []

  kill(): void {
    this.killed = true
    for (const tell of this.#deaths) tell()
  }

  /** The work's outcome, or `killed` when the process dies first: then the client hears nothing. */
  async run<T>(work: Promise<T>): Promise<T | 'killed'> {
    if (this.killed) return 'killed'
    const death = new Promise<'killed'>((resolve) => this.#deaths.push(() => resolve('killed')))
    return Promise.race([work, death])
  }
}

/** Lets everybody else go on for so many turns of the event loop. */
export async function others(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

const never = new Promise<never>(() => {})

export type FaultyOptions = {
  readonly mortal: Mortal
  readonly late: LateCalls
  readonly next: (method: string) => Fault
  readonly error: () => KeepsakeError
  /** Methods that only read: their faults are `ok`, `fail` and death. */
  readonly reads: readonly string[]
  /** Methods that change something. */
  readonly writes: readonly string[]
}

/** A port whose every call may meet a fault. */
export function faulty<T extends object>(port: T, options: FaultyOptions): T {
  const { mortal, late, next, error, reads, writes } = options
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      const call = (args: unknown[]): Promise<unknown> => late.sent(Promise.resolve(Reflect.apply(value, target, args)))
      if (!reads.includes(name) && !writes.includes(name))
        return (...args: unknown[]) => Reflect.apply(value, target, args)
      return async (...args: unknown[]) => {
        if (mortal.killed) return never
        const drawn = next(name)
        const fault =
          reads.includes(name) && (drawn === 'applied-but-errored' || drawn === 'lands-later') ? 'fail' : drawn
        if (fault === 'fail') throw error()
        if (fault === 'killed-before') {
          mortal.kill()
          return never
        }
        if (fault === 'lands-later') {
          late.add(() => call(args))
          throw error()
        }
        if (fault === 'slow') await others(400)
        const settled = await call(args).then(
          (result) => ({ result }),
          (thrown: unknown) => ({ thrown }),
        )
        if (fault === 'killed-after') mortal.kill()
        if (mortal.killed) return never
        if (fault === 'applied-but-errored') throw error()
        if ('thrown' in settled) throw settled.thrown
        return settled.result
      }
    },
  })
}
