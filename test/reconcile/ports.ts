import { z } from 'zod'
import type { Catalogue } from '../../src/catalogue/index.ts'
import type { ObjectStore } from '../../src/stores/index.ts'
import { type Promises, Violation } from './promises.ts'
import type { Subject } from './subject.ts'
import type { Turns } from './turns.ts'
import type { Waits } from './waits.ts'

const catalogueCalls = new Set<string>(
  [
    ['reserve', 'assignKey', 'confirm', 'fail', 'postpone', 'claim', 'due', 'beginDelete', 'purge', 'dueRetiredKeys'],
    ['sweptRetiredKeys', 'get', 'keyedRows', 'storedWithKeys', 'retiredAmong', 'recordSightings', 'saveProgress'],
    [
      'statesOfKeys',
      'claimMove',
      'resumeRemoval',
      'beginRemoval',
      'finishMove',
      'stepBack',
      'dropMove',
      'beginRestore',
    ],
    ['finishRestore', 'getQuarantined', 'markHealth'],
  ].flat(),
)
const storeCalls = new Set(['put', 'head', 'delete', 'copy'])
/** What may fail under reconcile's hands. */
const faultyCalls = new Set([
  'delete',
  'copy',
  'head',
  'claimMove',
  'beginRemoval',
  'finishMove',
  'finishRestore',
  'saveProgress',
])
/** The steps of a move that others can wait for, and the key in the first argument of each. */
const stepNames = new Set(['claimMove', 'copy', 'beginRemoval'])
const stepKey = z.union([
  z.string(),
  z.object({ source: z.string() }).transform(({ source }) => source.replace(/^quarantine\//, '')),
  z.object({ key: z.string() }).transform(({ key }) => key),
])
const landsLater = new Set(['delete', 'copy'])

/** The ports between the code and the world, through which calls take turns, fail, and land late. */
export class Ports {
  readonly #subject: Subject
  readonly #turns: Turns
  readonly #faults: number
  readonly #promises: Promises
  readonly #waits: Waits
  readonly #late: (() => Promise<unknown>)[] = []
  #installation: Promise<unknown> | undefined

  constructor(subject: Subject, turns: Turns, faults: number, promises: Promises, waits: Waits) {
    this.#subject = subject
    this.#turns = turns
    this.#faults = faults
    this.#promises = promises
    this.#waits = waits
  }

  async landAll(): Promise<void> {
    for (const land of this.#late.splice(0)) await land()
  }

  /** A port whose calls take turns; under reconcile's hands they may fail too, and its removals are looked at. */
  inTurns<T extends Catalogue | ObjectStore>(port: T, isReconcile: boolean): T {
    const { KeepsakeError } = this.#subject
    const calls = 'signGet' in port ? storeCalls : catalogueCalls
    const failure = () => new KeepsakeError('store_unavailable', 'It failed (a fault of the test).')
    return new Proxy(port, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function' || typeof name !== 'string') return value
        const call = async (args: unknown[]): Promise<unknown> => {
          if (isReconcile) {
            this.#waits.call()
          }
          if (isReconcile && name === 'delete') await this.#promises.checkRemoval(z.array(z.string()).parse(args[0]))
          if (isReconcile && name === 'recordSightings') this.#promises.noteSeen(args[0])
          const answer: unknown = await Reflect.apply(value, target, args)
          if (isReconcile && stepNames.has(name)) this.#waits.wake(name, stepKey.parse(args[0]))
          if (name === 'sweptRetiredKeys') await this.#promises.noteForgotten()
          return answer
        }
        // It never changes, and is asked for again and again.
        if (name === 'installationId') return () => (this.#installation ??= Promise.resolve(call([])))
        if (name === 'list') return (...args: unknown[]) => this.#listInTurns(Reflect.apply(value, target, args))
        if (!calls.has(name)) return (...args: unknown[]) => Reflect.apply(value, target, args)
        return (...args: unknown[]) =>
          this.#turns.call(async () => {
            if (!isReconcile || !faultyCalls.has(name) || this.#turns.random() >= this.#faults) return call(args)
            const drawn = this.#turns.random()
            if (drawn < 0.3) throw failure()
            if (drawn < 0.7 && landsLater.has(name)) {
              this.#late.push(() => call(args).catch(swallowRefusal))
              // Some land in this round, between the calls of others.
              if (drawn < 0.5) void this.#turns.call(() => this.#landOne())
              throw failure()
            }
            await call(args)
            throw failure()
          })
      },
    })
  }

  async #landOne(): Promise<void> {
    await this.#late.shift()?.()
  }

  /** A listing is one call, a page of it: what changes afterwards is not in it. */
  async *#listInTurns(objects: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    const page = await this.#turns.call(async () => {
      const all: unknown[] = []
      for await (const object of objects) all.push(object)
      return all
    })
    yield* page
  }
}

export function swallowRefusal(error: unknown): void {
  if (error instanceof Violation) throw error
}
