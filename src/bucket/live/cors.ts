import type { CORSRule as S3CorsRule } from '@aws-sdk/client-s3'
import { asSet } from '../canonical.ts'

/** A CORS rule in one spelling: lists are sorted, headers in lower case (they know none). */
export type CorsRule = {
  readonly id: string
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  readonly exposed: readonly string[]
  readonly maxAgeSeconds: number | null
}

/** In the order of the store, which is the order in which S3 tries them. */
export type Cors = readonly { readonly rule: CorsRule; readonly raw: S3CorsRule }[]

export function normalCorsRule(raw: S3CorsRule): CorsRule {
  const lower = (names: readonly string[] | undefined) => asSet((names ?? []).map((name) => name.toLowerCase()))
  return {
    id: raw.ID ?? '',
    origins: asSet(raw.AllowedOrigins ?? []),
    methods: asSet(raw.AllowedMethods ?? []),
    headers: lower(raw.AllowedHeaders),
    exposed: lower(raw.ExposeHeaders),
    maxAgeSeconds: raw.MaxAgeSeconds ?? null,
  }
}
