export type { Lookup, ResolvedAddress } from './connector.ts'
export {
  createGuardedFetch,
  type FetchedSource,
  type FetchOptions,
  type GuardedFetch,
  type GuardedFetchOptions,
} from './fetch.ts'
export {
  createGuardedPost,
  type GuardedPost,
  type GuardedPostOptions,
  type PostAnswer,
  type PostRequest,
} from './post.ts'
