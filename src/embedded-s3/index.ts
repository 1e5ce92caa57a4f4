import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { Credentials } from './authentication.ts'
import { type CorsRule, corsXml, parseCors } from './cors.ts'
import { isBucketName } from './keys.ts'
import { bucketDefaults, type RequestInfo, S3Server } from './server.ts'
import { FolderStore } from './store/folder-store.ts'
import { Upkeep } from './upkeep.ts'

export type { RequestInfo } from './server.ts'
export { FolderHeldError } from './store/folder-lock.ts'

export type EmbeddedS3Options = {
  /** Where buckets and objects lie; made if missing, readable by this user only. One server a folder. */
  readonly dir: string
  /** Default: 127.0.0.1. */
  readonly host?: string
  /** Default: 0, any free one. */
  readonly port?: number
  /** Default: us-east-1. */
  readonly region?: string
  /** The one key pair that this server knows. Make the secret random. */
  readonly credentials: Credentials
  /** Made at the start where they are missing. */
  readonly buckets?: readonly string[]
  /**
   * Whose pages may read and write those buckets (CORS), as a browser spells an origin. Rules that a bucket was given by
   * a request are left alone. Default: as it was.
   */
  readonly origins?: readonly string[]
  /** Whether an acknowledged write survives a power cut. Default: true. */
  readonly fsync?: boolean
  /** Milliseconds a client may go without sending or taking anything to speak of. Default: 30,000. */
  readonly idleTimeoutMs?: number
  /** A proxy in front of the server speaks TLS: what policies ask for as aws:SecureTransport. Default: false. */
  readonly behindTls?: boolean
  /** Whether new buckets block public access, as on AWS, until they are configured otherwise. Default: true. */
  readonly blockPublicAccess?: boolean
  /**
   * Key prefixes in `buckets` whose objects anybody may read, whatever the buckets are set to, short of a policy that
   * denies it: what a CDN with access of its own does for a private bucket on AWS. Default: none.
   */
  readonly publicPrefixes?: readonly string[]
  /** Takes browsers' forms with the old signature (HMAC-SHA1) too. Default: false, as for new buckets on AWS. */
  readonly legacyForms?: boolean
  /** Days after which multipart uploads that nobody finished are swept, in every bucket. Default: 7. */
  readonly staleUploadDays?: number
  /** The time in milliseconds since 1970, by which objects are dated and lifecycle rules run; for tests. Signatures go by the real one. */
  readonly now?: () => number
  /** Called after each answer; holds no secret. */
  readonly onRequest?: (info: RequestInfo) => void
}

export type EmbeddedS3 = {
  /** For path-style requests, without a slash at the end. */
  readonly url: string
  readonly port: number
  readonly region: string
  /**
   * Does now what lifecycle rules ask for, which is done at the start and each hour in any case. Rejects with the first
   * failure, when all else has been done.
   */
  runLifecycle(): Promise<void>
  /** Finishes requests under way, at most `timeoutMs` (default 10,000), and lets go of the folder. */
  close(options?: { readonly timeoutMs?: number }): Promise<void>
}

/**
 * Starts an S3 server over a folder.
 *
 * @throws FolderHeldError when another server has the folder; what the system says when the port is taken.
 */
export async function startEmbeddedS3(options: EmbeddedS3Options): Promise<EmbeddedS3> {
  const { host = '127.0.0.1', region = 'us-east-1', credentials } = options
  if (credentials.accessKeyId === '' || credentials.secretAccessKey === '') {
    throw new TypeError('The embedded S3 needs an access key id and a secret access key; one of them is empty.')
  }
  for (const name of options.buckets ?? []) {
    if (!isBucketName(name)) {
      throw new TypeError(`${JSON.stringify(name)} is no bucket name: 3 to 63 of a-z, 0-9, dot and hyphen.`)
    }
  }
  const store = await FolderStore.open(path.resolve(options.dir), { fsync: options.fsync ?? true })
  try {
    for (const name of options.buckets ?? [])
      await store.createBucket(name, bucketDefaults(options.blockPublicAccess ?? true))
    if (options.origins !== undefined) await allowOrigins(store, options.buckets ?? [], options.origins)
    const idleTimeout = options.idleTimeoutMs ?? 30_000
    const now = options.now ?? Date.now
    const { onRequest, behindTls = false, blockPublicAccess = true, legacyForms = false } = options
    const open = { buckets: options.buckets ?? [], prefixes: options.publicPrefixes ?? [] }
    const server = new S3Server({
      ...{ store, region, credentials, onRequest, idleTimeout, now, behindTls, blockPublicAccess, legacyForms, open },
    })
    const upkeep = new Upkeep({ store, now, staleUploadDays: options.staleUploadDays ?? 7 })
    const port = await listen(server, host, options.port ?? 0)
    let closing: Promise<void> | undefined
    return {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
      port,
      region,
      close({ timeoutMs = 10_000 } = {}) {
        closing ??= Promise.all([server.close(timeoutMs), upkeep.stop()]).then(() => store.close())
        return closing
      },
      runLifecycle: () => upkeep.run(),
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** By this name the rule is known that follows an option, and not a request. */
const ruleOfOptions = 'origins-of-the-installation'

async function allowOrigins(store: FolderStore, buckets: readonly string[], origins: readonly string[]): Promise<void> {
  const rule: CorsRule = {
    id: ruleOfOptions,
    origins,
    methods: ['GET', 'HEAD', 'PUT'],
    headers: ['*'],
    exposed: ['ETag', 'Content-Length', 'Content-Range', 'x-amz-request-id'],
    maxAge: '600',
  }
  const wanted = origins.length === 0 ? undefined : corsXml([rule])
  for (const bucket of buckets) {
    const found = store.bucket(bucket)?.settings.cors
    if (found === wanted || (found !== undefined && parseCors(found)[0]?.id !== ruleOfOptions)) continue
    await store.configure(bucket, 'cors', wanted)
  }
}

function listen(server: S3Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.http.once('error', reject)
    server.http.listen(port, host, () => {
      server.http.off('error', reject)
      resolve(portOf(server.http.address()))
    })
  })
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port')
  return address.port
}
