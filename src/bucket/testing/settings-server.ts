import { createServer, type IncomingMessage } from 'node:http'
import { listenOnLoopback } from '../../../test/support/listen.ts'
import { type ControlClient, openControlClient } from '../control-client.ts'
import { credentials } from './credentials.ts'

/** What is answered where nothing is set: a code of 404, or an empty document. */
const unset: Readonly<Record<string, string>> = {
  publicAccessBlock: 'NoSuchPublicAccessBlockConfiguration',
  ownershipControls: 'OwnershipControlsNotFoundError',
  encryption: 'ServerSideEncryptionConfigurationNotFoundError',
  versioning: '<VersioningConfiguration/>',
  policy: 'NoSuchBucketPolicy',
  policyStatus: 'NoSuchBucketPolicy',
  cors: 'NoSuchCORSConfiguration',
  lifecycle: 'NoSuchLifecycleConfiguration',
  logging: '<BucketLoggingStatus/>',
  inventory: '<ListInventoryConfigurationsResult><IsTruncated>false</IsTruncated></ListInventoryConfigurationsResult>',
  replication: 'ReplicationConfigurationNotFoundError',
  acl: '<AccessControlPolicy><Owner><ID>owner</ID></Owner></AccessControlPolicy>',
  notification: '<NotificationConfiguration/>',
  'object-lock': 'ObjectLockConfigurationNotFoundError',
  tagging: 'NoSuchTagSet',
}

const minimumSize = 'x-amz-transition-default-minimum-object-size'

export type Refusal = { readonly status: number; readonly code: string }

export type SettingsServer = {
  readonly url: string
  /** A client that takes the server for AWS. */
  readonly client: ControlClient
  /** `METHOD bucket?subresource`, as they came. */
  readonly requests: string[]
  /** Documents by `bucket?subresource`. */
  readonly documents: Map<string, string>
  /** Bodies of requests that made a bucket, by its name. */
  readonly buckets: Map<string, string>
  /** Refuses a request, while it says so. */
  refuse: (request: string) => Refusal | undefined
  /** How many reads after a write still show what was before it. */
  staleReads: number
  close(): void
}

/**
 * The settings side of an S3 that has every setting: documents are kept as the SDK wrote them and given back, which is
 * all that a plan needs of a store. For what neither the embedded S3 nor radosgw offers: versions, logs, inventories,
 * replication, KMS.
 */
export async function startSettingsServer(): Promise<SettingsServer> {
  const old = new Map<string, { document: string | undefined; reads: number }>()
  const http = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://server')
    const bucket = url.pathname.slice(1).split('/')[0] ?? ''
    const part = [...url.searchParams.keys()].find((name) => Object.hasOwn(unset, name)) ?? ''
    const name = `${bucket}?${part}`
    const line = `${request.method} ${name}`
    server.requests.push(line)
    const body = await text(request)
    const answer = (status: number, content: string, headers: Record<string, string> = {}) =>
      response
        .writeHead(status, { server: 'AmazonS3', 'content-type': 'application/xml', ...headers })
        .end(request.method === 'HEAD' ? '' : content)
    const refuse = (status: number, code: string) =>
      answer(status, `<Error><Code>${code}</Code><Message>Told so by the test.</Message></Error>`)
    const refusal = server.refuse(line)
    if (refusal) return refuse(refusal.status, refusal.code)
    if (part === '' && request.method === 'PUT') {
      server.buckets.set(bucket, body)
      return answer(200, '')
    }
    if (!server.buckets.has(bucket)) return refuse(404, 'NoSuchBucket')
    if (request.method === 'HEAD') return answer(200, '', { 'x-amz-bucket-region': regionOf(bucket) })
    if (request.method === 'PUT') {
      old.set(name, { document: server.documents.get(name), reads: server.staleReads })
      server.documents.set(name, body)
      const size = request.headers[minimumSize]
      if (typeof size === 'string') server.documents.set(`${bucket}?${minimumSize}`, size)
      return answer(part === 'policy' ? 204 : 200, '')
    }
    const before = old.get(name)
    const stale = before !== undefined && before.reads > 0
    if (stale) before.reads -= 1
    const document = stale ? before.document : server.documents.get(name)
    const empty = unset[part] ?? ''
    if (document === undefined) return empty.startsWith('<') ? answer(200, empty) : refuse(404, empty)
    if (part === 'inventory') {
      const inner = document.replace(/<\?xml[^>]*\?>/, '')
      return answer(
        200,
        `<ListInventoryConfigurationsResult>${inner}<IsTruncated>false</IsTruncated></ListInventoryConfigurationsResult>`,
      )
    }
    const size = server.documents.get(`${bucket}?${minimumSize}`)
    return answer(200, document, part === 'lifecycle' && size ? { [minimumSize]: size } : {})
  })
  const endpoint = `http://127.0.0.1:${await listenOnLoopback(http)}`
  const real = await openControlClient({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: () => credentials,
  })
  const server: SettingsServer = {
    url: endpoint,
    client: { ...real, endpoint: null, make: () => 'aws' },
    requests: [],
    documents: new Map(),
    buckets: new Map(),
    refuse: () => undefined,
    staleReads: 0,
    close: () => {
      real.close()
      http.close()
    },
  }
  return server
}

/** One server stands for two regions. */
function regionOf(bucket: string): string {
  return bucket.endsWith('-replica') ? 'eu-west-1' : 'us-east-1'
}

async function text(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces).toString()
}
