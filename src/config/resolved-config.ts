import type { Collection } from '../media/index.ts'
import type { ParsedBucketSettings } from './bucket-settings.ts'
import type { KeepsakeConfig } from './keepsake-config.ts'
import type { Secret } from './secret.ts'

export type JwtConfig = {
  readonly keys: { readonly secret: Secret } | { readonly jwksUrl: string }
  readonly audience: string
  /** Null: not checked. */
  readonly issuer: string | null
}

export type S3Config = {
  readonly kind: 's3'
  readonly bucket: string
  readonly region: string
  /** Null: AWS's own for the region. */
  readonly endpoint: string | null
  readonly publicEndpoint: string | null
  readonly forcePathStyle: boolean
  /** Null: to be found out. */
  readonly provider: 'aws' | 'minio' | 'r2' | 'b2' | 'ceph' | 'other' | null
  readonly dualStack: boolean
  /** Null: by the profile, or what the AWS SDK finds. */
  readonly credentials: {
    readonly accessKeyId: string
    readonly secretAccessKey: Secret
    readonly sessionToken: Secret | null
    /** When the session token ends; null: not known. */
    readonly expiration: Date | null
  } | null
  readonly profile: string | null
}

/** A copy of the bucket elsewhere. */
export type ReplicaConfig = S3Config & {
  /** Seconds. */
  readonly deleteAfter: number
  readonly copiedBy: 'keepsake' | 'store'
}

export type EmbeddedS3Config = {
  readonly kind: 'embedded'
  readonly bucket: string
  /** Null: the one of the last start while it is free. */
  readonly port: number | null
  /** Where browsers reach it, through a proxy; null: its own loopback address. */
  readonly publicEndpoint: string | null
}

export type FallbackConfig = {
  /** Null: the one of the last start while it is free. */
  readonly port: number | null
  readonly publicEndpoint: string | null
  /** Bytes. */
  readonly minFree: number
}

/** A CloudFront distribution that links to private media lead to. */
export type CloudFrontConfig = {
  /** `https://domain`, without a slash at its end. */
  readonly url: string
  readonly keyPairId: string
  /** PEM, or the path of a file with it. */
  readonly privateKey: { readonly text: Secret } | { readonly file: string }
  readonly hash: 'sha256' | 'sha1'
}

export type WebhookConfig = {
  readonly name: string | undefined
  /** It may hold a token. */
  readonly url: Secret
  /** The newest first. */
  readonly secrets: readonly Secret[]
  /** Undefined: all. */
  readonly events: readonly string[] | undefined
}

/** What runs by the clock; what is left out does not. Durations in seconds, sizes in bytes. */
export type UpkeepConfig = {
  readonly verify?: {
    readonly cron: string
    readonly level?: 'exists' | 'checksum' | 'full' | undefined
    readonly budget?: number | undefined
    readonly bandwidth?: number | undefined
  }
  readonly cleanup?: {
    readonly cron: string
    readonly olderThan: number
    readonly atMost: number
    readonly owner?: string | undefined
    readonly collection?: string | undefined
  }
  readonly reconcile?: {
    readonly cron: string
    readonly prefix?: string | undefined
    readonly hashes?: boolean | undefined
    readonly apply?: boolean | undefined
    readonly maxObjects?: number | undefined
  }
}

/** Everything decided: plain data, with secrets wrapped. */
export type ResolvedConfig = {
  /** Absolute. */
  readonly dataDir: string
  readonly database: { readonly kind: 'pglite' } | { readonly kind: 'postgres'; readonly connectionString: Secret }
  readonly objectStore: S3Config | EmbeddedS3Config
  /** Null: none. */
  readonly replica: ReplicaConfig | null
  /** Null: off. */
  readonly fallback: FallbackConfig | null
  /** How the bucket is to be set up, as far as somebody said. */
  readonly bucket: ParsedBucketSettings
  /** Their collections are among the others; `http` is for the HTTP side to check. */
  readonly extensions: readonly { readonly name: string; readonly schema: string | null; readonly http: unknown }[]
  readonly collections: ReadonlyMap<string, Collection>
  readonly imports: {
    /** `host` or `host:port`, as a URL spells it. */
    readonly allowHosts: readonly string[]
    readonly allowHttp: boolean
    /** Seconds. */
    readonly giveUpAfter: number
  }
  readonly uploads: {
    /** Bytes. */
    readonly partThreshold: number
    /** Bytes. */
    readonly partSize: number
    /** Seconds. */
    readonly resumeWithin: number
  }
  readonly urls: {
    /** Seconds. */
    readonly expiresIn: number
    /** Where objects of public collections are read from, without a slash at its end. */
    readonly baseUrl: string | null
  }
  readonly delivery: {
    /** Null: the store signs. */
    readonly cloudfront: CloudFrontConfig | null
  }
  readonly http: {
    readonly port: number
    readonly host: string
    /** Null: the one that is generated in the data folder. */
    readonly apiKey: Secret | null
    /** As a browser spells them. */
    readonly corsOrigins: readonly string[]
    readonly jwt: JwtConfig | null
  }
  readonly webhooks: {
    readonly endpoints: readonly WebhookConfig[]
    /** `host` or `host:port`, as a URL spells it. */
    readonly allowHosts: readonly string[]
  }
  readonly upkeep: UpkeepConfig
  readonly logLevel: NonNullable<KeepsakeConfig['logLevel']>
  /** Settings of recipes. */
  readonly recipes: { /** Bytes. */ readonly maxAudioFileSize: number | null }
  /** What is allowed and yet looks wrong; to be logged at the start. */
  readonly warnings: readonly string[]
}
