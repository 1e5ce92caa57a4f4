import type { Catalogue } from '../../catalogue/index.ts'

/** The changes after which events may wait in the outbox. One that is missing here is found by the courier's next look. */
const changes = [
  'confirm',
  'confirmReplacing',
  'fail',
  'postpone',
  'beginDelete',
  'beginExpiry',
  'beginCleanup',
  'markHealth',
] as const

/** The same catalogue, which tells after each change of an asset that there may be something to send. */
export function announcing(catalogue: Catalogue, changed: () => void): Catalogue {
  return new Proxy(catalogue, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || !changes.some((change) => change === name)) return value
      return async (...args: unknown[]) => {
        const result: unknown = await Reflect.apply(value, target, args)
        changed()
        return result
      }
    },
  })
}
