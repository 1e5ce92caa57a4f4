import type { Catalogue } from '../../catalogue/index.ts'
import type { GuardedFetch } from '../../intake/index.ts'
import type { Stores } from '../../stores/index.ts'
import { callOptions, type RecoverySource } from './parts.ts'

/** The disk of this machine: what was promoted lies there for an hour yet, and what could not be removed for longer. */
export function localSource({ local }: Pick<Stores, 'local'>): RecoverySource[] {
  if (local === null) return []
  const { store } = local
  return [
    {
      name: 'local',
      async open({ key, size }, signal) {
        if (key === null) return undefined
        const options = callOptions(signal)
        if ((await store.head(key, options))?.size !== size) return undefined
        return async function* () {
          yield* (await store.get(key, options)).body
        }
      },
    },
  ]
}

/** The address that an asset was imported from, as guarded as the import was. It is the last to be asked. */
export function originSource({
  catalogue,
  fetch,
}: {
  readonly catalogue: Pick<Catalogue, 'originOf'>
  readonly fetch: GuardedFetch
}): RecoverySource {
  return {
    name: 'source',
    async open({ id, size }, signal) {
      const url = await catalogue.originOf(id)
      if (url === undefined || size === null) return undefined
      return async function* () {
        const source = await fetch.open(url, { maxBytes: size, ...callOptions(signal) })
        try {
          yield* source.body
        } finally {
          await source.close()
        }
      }
    },
  }
}
