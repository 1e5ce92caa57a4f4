export type { Lookup, ResolvedAddress } from './connector.ts'
export {
  createGuardedFetch,
  type FetchedSource,
  type FetchOptions,
  type GuardedFetch,
  type GuardedFetchOptions,
} from './fetch.ts'
