import type { Clock } from '../clock.ts'
import { KeepsakeError, type LocalPlace, type StorePlace } from '../media/index.ts'
import { Circuit, type CircuitOptions, type CircuitState } from './circuit.ts'
import type { ObjectStore } from './object-store.ts'

/** A store on this machine's disk, and the name by which rows know this very one. */
export type LocalStore = {
  readonly place: LocalPlace
  readonly store: ObjectStore
  /** @throws `store_unavailable` where so many bytes more would fill the disk. */
  requireRoom(bytes: number): Promise<void>
}

/** Where assets' bytes lie, and are to lie. */
export interface Stores {
  /** The bucket, behind its circuit where there is something to fall back to. */
  readonly primary: ObjectStore
  /** What is written to while the bucket fails; null where nothing is. */
  readonly local: LocalStore | null
  /** A copy of the bucket elsewhere, to read from; null where there is none. */
  readonly replica: ObjectStore | null

  /**
   * The store of a row's object.
   *
   * @throws `store_unavailable` where it is the disk of another instance.
   */
  of(place: StorePlace): ObjectStore

  /** Whether {@link of} has an answer. */
  has(place: StorePlace): boolean

  /** All places that this process can reach. */
  readonly places: readonly StorePlace[]

  /** Where new bytes go now: the bucket, or the local store while the bucket's circuit is not closed. */
  writing(): { readonly name: StorePlace; readonly store: ObjectStore }

  /** `down` where it is known to fail. What does not exist is down. */
  health(name: 'primary' | 'local' | 'replica'): 'up' | 'down'

  /** The bucket's circuit, and since when it is in this state; null where it has none. */
  circuit(): { readonly state: CircuitState; readonly since: Date } | null

  /** Calls back whenever the bucket's circuit changes. */
  onChange(listener: (state: CircuitState) => void): void

  close(): Promise<void>
}

export type StoresOptions = {
  readonly primary: ObjectStore
  readonly local?: LocalStore | null
  readonly replica?: ObjectStore | null
  readonly clock: Clock
  readonly circuit?: Omit<CircuitOptions, 'clock' | 'onChange'>
}

/** Puts stores together. A bucket that stands alone gets no circuit: whoever needs it can only go on asking. */
export function createStores({ primary, local = null, replica = null, clock, circuit }: StoresOptions): Stores {
  const listeners: ((state: CircuitState) => void)[] = []
  const onChange = (state: CircuitState) => {
    for (const listener of listeners) listener(state)
  }
  const guarded = local || replica ? new Circuit(primary, { ...circuit, clock, onChange }) : undefined
  const bucket = guarded ?? primary
  const isUp = () => guarded === undefined || guarded.state === 'closed'
  const has = (place: StorePlace) => place === 'primary' || place === local?.place
  return {
    primary: bucket,
    local,
    replica,
    has,
    places: local ? ['primary', local.place] : ['primary'],
    of(place) {
      if (place === 'primary') return bucket
      if (local && place === local.place) return local.store
      throw new KeepsakeError(
        'store_unavailable',
        'The object still lies on the disk of another instance, which fell back while the bucket failed. Ask that instance, or ' +
          'wait until it has moved the object to the bucket.',
      )
    },
    writing: () => (local && !isUp() ? { name: local.place, store: local.store } : { name: 'primary', store: bucket }),
    health(name) {
      if (name === 'primary') return isUp() ? 'up' : 'down'
      return (name === 'local' ? local : replica) ? 'up' : 'down'
    },
    circuit: () => (guarded ? { state: guarded.state, since: guarded.changedAt } : null),
    onChange: (listener) => {
      listeners.push(listener)
    },
    async close() {
      await Promise.all([bucket.close(), local?.store.close(), replica?.close()])
    },
  }
}
