import { z } from 'zod'
import type { CollectionDefinition } from '../media/index.ts'
import { type BucketSettings, bucketSettingsSchema } from './bucket-settings.ts'
import * as value from './values.ts'

const credentials = z.strictObject({
  accessKeyId: value.headerToken,
  secretAccessKey: value.headerToken,
  sessionToken: value.headerToken.optional(),
  expiration: value.instant.optional(),
})

const collectionsSchema = z.record(
  z.string(),
  z.custom<CollectionDefinition>((given) => isObject(given), 'not an object'),
)

/** The configuration's schema; collections are checked by `parseCollection`. */
export const configSchema = z.strictObject({
  dataDir: value.folder.optional(),
  databaseUrl: value.databaseUrl.optional(),
  collections: collectionsSchema.optional(),
  extensions: z
    .array(
      z.strictObject({
        name: value.anyText,
        collections: collectionsSchema.optional(),
        schema: z
          .union([
            value.anyText,
            z.custom<(setting: SchemaSetting) => string | null>((given) => typeof given === 'function'),
          ])
          .optional(),
        // The HTTP side's own, which checks it.
        http: z.unknown().optional(),
      }),
    )
    .optional(),
  s3: z
    .strictObject({
      bucket: value.bucket.optional(),
      region: value.region.optional(),
      endpoint: value.webAddress.optional(),
      publicEndpoint: value.webAddress.optional(),
      baseUrl: value.webAddress.optional(),
      forcePathStyle: value.flag.optional(),
      provider: value.provider.optional(),
      dualStack: value.flag.optional(),
      credentials: credentials.optional(),
      profile: value.anyText.optional(),
    })
    .optional(),
  embeddedS3: z.strictObject({ port: value.port.optional() }).optional(),
  replica: z
    .strictObject({
      bucket: value.bucket.optional(),
      region: value.region.optional(),
      endpoint: value.webAddress.optional(),
      publicEndpoint: value.webAddress.optional(),
      forcePathStyle: value.flag.optional(),
      provider: value.provider.optional(),
      credentials: credentials.optional(),
      profile: value.anyText.optional(),
      deleteAfter: value.anyDuration.optional(),
      copiedBy: value.replicaCopier.optional(),
    })
    .optional(),
  fallback: z
    .strictObject({
      enabled: value.flag.optional(),
      port: value.port.optional(),
      publicEndpoint: value.webAddress.optional(),
      minFree: value.size.optional(),
    })
    .optional(),
  bucket: bucketSettingsSchema.optional(),
  imports: z
    .strictObject({
      allowHosts: value.hostList.optional(),
      allowHttp: value.flag.optional(),
      giveUpAfter: z.union([z.number(), z.string()]).optional(),
    })
    .optional(),
  uploads: z
    .strictObject({
      partThreshold: value.size.optional(),
      partSize: value.partSize.optional(),
      resumeWithin: z.union([z.number(), z.string()]).optional(),
    })
    .optional(),
  urls: z.strictObject({ expiresIn: value.urlSeconds.optional() }).optional(),
  delivery: z
    .strictObject({
      cloudfront: z
        .strictObject({
          domain: value.cdnAddress.optional(),
          keyPairId: value.keyPairId.optional(),
          privateKey: value.anyText.optional(),
          privateKeyFile: value.anyText.optional(),
          hash: value.signatureHash.optional(),
        })
        .optional(),
    })
    .optional(),
  http: z
    .strictObject({
      port: value.port.optional(),
      host: value.host.optional(),
      apiKey: value.headerToken.optional(),
      corsOrigins: value.originList.optional(),
      jwt: z
        .strictObject({
          secret: value.anyText.optional(),
          jwksUrl: value.keysAddress.optional(),
          audience: value.anyText.optional(),
          issuer: value.anyText.optional(),
        })
        .optional(),
    })
    .optional(),
  webhooks: z
    .array(
      z.strictObject({
        name: value.endpointName.optional(),
        url: value.webhookUrl,
        secret: value.webhookSecrets,
        events: value.eventNames.optional(),
      }),
    )
    .optional(),
  webhookAllowHosts: value.hostList.optional(),
  upkeep: z
    .strictObject({
      verify: z
        .preprocess(
          // The expression alone, rather than a union: its errors name the field that is wrong.
          (given) => (typeof given === 'string' ? { cron: given } : given),
          z.strictObject({
            cron: value.cron,
            level: value.verifyLevel.optional(),
            budget: value.duration.optional(),
            bandwidth: value.size.optional(),
          }),
        )
        .optional(),
      cleanup: z
        .strictObject({
          cron: value.cron,
          olderThan: value.duration,
          atMost: value.wholeCount,
          owner: value.anyText.optional(),
          collection: value.anyText.optional(),
        })
        .optional(),
      reconcile: z
        .preprocess(
          (given) => (typeof given === 'string' ? { cron: given } : given),
          z.strictObject({
            cron: value.cron,
            prefix: value.keyPrefix.optional(),
            hashes: value.flag.optional(),
            apply: value.flag.optional(),
            maxObjects: value.wholeCount.optional(),
          }),
        )
        .optional(),
    })
    .optional(),
  logLevel: value.logLevel.optional(),
})

export type ParsedConfig = z.output<typeof configSchema>

/** Where a schema is applied. */
export type SchemaSetting = {
  /** `pglite`: the catalogue in the data folder, which is nobody else's. `postgres`: the database of DATABASE_URL. */
  readonly database: 'pglite' | 'postgres'
  /** Where objects of public collections are read from, without a slash at its end. */
  readonly baseUrl: string | null
}

/** What an extension brings. `Extension` says what its `http` is. */
export type ExtensionSettings = {
  /** Unique among the extensions of an installation. */
  readonly name: string
  /** Added to those declared; one declared under the same name wins. */
  readonly collections?: Readonly<Record<string, CollectionDefinition>>
  /**
   * SQL for relations of its own, run in one transaction as the catalogue's owner, at the start after it changed: it has
   * to be harmless when repeated. A function makes it for the database at hand; null makes none. docs/extensions.md
   */
  readonly schema?: string | ((setting: SchemaSetting) => string | null)
  readonly http?: unknown
}

/** What `keepsake.config.ts` exports and `createKeepsake` takes. Everything has a default. */
export type KeepsakeConfig = {
  /** Where an installation keeps what it has by itself. Default: `./.keepsake`. */
  readonly dataDir?: string
  /** A PostgreSQL for the catalogue, `postgres://…`. Default: PGlite in the data folder. */
  readonly databaseUrl?: string
  /** Named groups of assets under one policy each. `generations` is there unless one of that name is declared. */
  readonly collections?: Readonly<Record<string, CollectionDefinition>>
  /** What stands on Keepsake and comes with its own collections and routes, such as the recipes. Default: nothing. */
  readonly extensions?: readonly ExtensionSettings[]
  /** The bucket. Default: an embedded S3 in the data folder. */
  readonly s3?: {
    readonly bucket?: string
    /** Default: us-east-1. */
    readonly region?: string
    /** For what is not AWS: MinIO, R2, Ceph … */
    readonly endpoint?: string
    /** The endpoint as browsers reach it, where that differs. */
    readonly publicEndpoint?: string
    /** Where objects of public collections are read from: a CDN, or the bucket's own address. */
    readonly baseUrl?: string
    /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. Default: true for what is not AWS. */
    readonly forcePathStyle?: boolean
    /** The make of the store, which decides what it is asked for. Default: by its host name, or by how it answers. */
    readonly provider?: 'aws' | 'minio' | 'r2' | 'b2' | 'ceph' | 'other'
    /** AWS's endpoints for IPv4 and IPv6. Default: false. */
    readonly dualStack?: boolean
    /** Default: what the AWS SDK finds (profile, instance, container …). */
    readonly credentials?: {
      readonly accessKeyId: string
      readonly secretAccessKey: string
      readonly sessionToken?: string
      /** When a session token ends (ISO 8601): no link is given a longer life. */
      readonly expiration?: string | Date
    }
    /** A profile of `~/.aws`. */
    readonly profile?: string
  }
  readonly embeddedS3?: {
    /** 0 lets the system choose. Default: the one of the last start while it is free. */
    readonly port?: number
  }
  /** A copy of the bucket elsewhere: another region, another provider. Default: none. */
  readonly replica?: {
    readonly bucket?: string
    /** Default: us-east-1. */
    readonly region?: string
    /** For what is not AWS. */
    readonly endpoint?: string
    /** The endpoint as browsers reach it, where that differs. */
    readonly publicEndpoint?: string
    readonly forcePathStyle?: boolean
    readonly provider?: 'aws' | 'minio' | 'r2' | 'b2' | 'ceph' | 'other'
    /** Default: the bucket's own, where both are at the same endpoint; else what the AWS SDK finds. */
    readonly credentials?: {
      readonly accessKeyId: string
      readonly secretAccessKey: string
      readonly sessionToken?: string
      readonly expiration?: string | Date
    }
    readonly profile?: string
    /** How long a copy outlives its asset; seconds or a text. Default: `'7d'`. */
    readonly deleteAfter?: number | string
    /**
     * `store`: the bucket's own replication brings the copies, and Keepsake looks after them. Default: that, where
     * `bucket.replication` has this bucket for its target; else keepsake.
     */
    readonly copiedBy?: 'keepsake' | 'store'
  }
  /**
   * What is written to while the bucket fails: an S3 over a folder in the data folder, which has to be on a disk that
   * outlives the process. Everything moves to the bucket when that is back.
   */
  readonly fallback?: {
    /** Default: false. */
    readonly enabled?: boolean
    /** Where it listens; 0 lets the system choose. Default: the port of the last start while it is free. */
    readonly port?: number
    /** The address by which browsers reach it. Default: its own, on `http.host`. */
    readonly publicEndpoint?: string
    /** Bytes, or a text, that are left free on its disk. Default: `'1 GiB'`. */
    readonly minFree?: number | string
  }
  /** How the bucket is to be set up, by `keepsake bucket`. */
  readonly bucket?: BucketSettings
  readonly imports?: {
    /** `host` or `host:port` that may be private and plain http; IPv6 in brackets. */
    readonly allowHosts?: readonly string[]
    /** Let public hosts be plain http. Default: false. */
    readonly allowHttp?: boolean
    /** When to give up an import whose source does not say when it dies; seconds or a text. Default: `'24h'`. */
    readonly giveUpAfter?: number | string
  }
  /** Uploads straight from a browser to the bucket. */
  readonly uploads?: {
    /** From which size on a file goes in parts; bytes or a text. Default: `'16 MiB'`. */
    readonly partThreshold?: number | string
    /** A part's size, 5 MiB to 5 GiB; more where 10,000 parts would not suffice. Default: `'16 MiB'`. */
    readonly partSize?: number | string
    /** How long an upload in parts may be gone on with; seconds or a text, an hour to a week. Default: `'24h'`. */
    readonly resumeWithin?: number | string
  }
  readonly urls?: {
    /** How long a signed link lives, 1 to 3600 seconds. Default: 3600. */
    readonly expiresIn?: number
  }
  /** Where links to private media lead. Default: to the bucket, signed by S3's own signature. */
  readonly delivery?: {
    /** A CloudFront distribution before the bucket, whose trusted key group has the public half of the key. */
    readonly cloudfront?: {
      /** Default: that of `s3.baseUrl`. */
      readonly domain?: string
      /** The id that CloudFront gave to the public key. */
      readonly keyPairId?: string
      /** RSA of 2048 bits or ECDSA P-256, in PEM. */
      readonly privateKey?: string
      /** The same in a file. */
      readonly privateKeyFile?: string
      /** Default: sha256. */
      readonly hash?: 'sha256' | 'sha1'
    }
  }
  readonly http?: {
    /** Default: 8000. */
    readonly port?: number
    /** Default: 127.0.0.1. */
    readonly host?: string
    /** Default: one that is generated in the data folder. */
    readonly apiKey?: string
    /** Whose pages may call the API, and send to and read from the embedded S3: `https://app.example`. Default: none. */
    readonly corsOrigins?: readonly string[]
    /** Users' tokens, signed with a shared secret or with the keys of an address, never both. */
    readonly jwt?: {
      readonly secret?: string
      readonly jwksUrl?: string
      /** Default: `authenticated`. */
      readonly audience?: string
      /** Default: not checked. */
      readonly issuer?: string
    }
  }
  /** Where events are sent, signed. Default: nowhere. */
  readonly webhooks?: readonly {
    /** What lists call it. Default: made from the URL. */
    readonly name?: string
    readonly url: string
    /** `whsec_…`; several, the newest first, while a secret is exchanged. */
    readonly secret: string | readonly string[]
    /** Default: all of asset.stored, .failed, .deleted, .missing, .corrupt and .recovered. */
    readonly events?: readonly string[]
  }[]
  /** `host` or `host:port` of webhooks that may be private and plain http; IPv6 in brackets. */
  readonly webhookAllowHosts?: readonly string[]
  /** What runs by the clock: cron expressions in UTC, one runner at a time over all processes. Default: nothing. */
  readonly upkeep?: {
    /** Just the expression stands for a look at everything by its existence and size. */
    readonly verify?:
      | string
      | {
          readonly cron: string
          readonly level?: 'exists' | 'checksum' | 'full'
          /** How long a run takes: seconds or a text such as `'10m'`. Default: as long as it needs. */
          readonly budget?: number | string
          /** Bytes a second that are read at most, or a text such as `'10 MB'`. */
          readonly bandwidth?: number | string
        }
    readonly cleanup?: {
      readonly cron: string
      /** At least a day: `'90d'`. */
      readonly olderThan: number | string
      /** The brake: a run that would delete more deletes nothing. */
      readonly atMost: number
      readonly owner?: string
      readonly collection?: string
    }
    /** Just the expression stands for a scan of the whole bucket, which changes nothing. */
    readonly reconcile?:
      | string
      | {
          readonly cron: string
          /** Ends with a slash. Default: the whole bucket. */
          readonly prefix?: string
          /** Compare the hash that each object states: a request each. Default: false. */
          readonly hashes?: boolean
          /** Act upon what is found. Default: false. */
          readonly apply?: boolean
          /** The brake: with more orphans than that nothing is acted upon. Default: 1000. */
          readonly maxObjects?: number
        }
  }
  /** Default: info. */
  readonly logLevel?: (typeof value.logLevels)[number]
}

/**
 * Gives a configuration its type.
 *
 * @example
 * // keepsake.config.ts
 * export default defineConfig({
 *   collections: { avatars: { accept: ['image'], maxSize: '5 MB' } },
 * })
 */
export function defineConfig(config: KeepsakeConfig): KeepsakeConfig {
  return config
}

function isObject(given: unknown): boolean {
  return typeof given === 'object' && given !== null
}
