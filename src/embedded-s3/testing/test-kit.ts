import { createHash, createSecretKey } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { S3Client } from '@aws-sdk/client-s3'
import { type EmbeddedS3, type EmbeddedS3Options, startEmbeddedS3 } from '../index.ts'
import { ALGORITHM, canonicalRequest, SigningKeys, scopeText, sign, stringToSign } from '../sigv4.ts'

export const credentials = { accessKeyId: 'AKIDEMBEDDED', secretAccessKey: 'not/a+real=secret' }
export const BUCKET = 'media'

/** A folder that is gone after the test, and servers that are stopped before. */
export class Bench {
  readonly #servers: EmbeddedS3[] = []
  readonly #folders: string[] = []

  async folder(): Promise<string> {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'embedded-s3-'))
    this.#folders.push(dir)
    return dir
  }

  async start(options: Partial<EmbeddedS3Options> = {}): Promise<EmbeddedS3> {
    const dir = options.dir ?? (await this.folder())
    const server = await startEmbeddedS3({ credentials, buckets: [BUCKET], fsync: false, ...options, dir })
    this.#servers.push(server)
    return server
  }

  async stop(): Promise<void> {
    for (const server of this.#servers.splice(0)) await server.close({ timeoutMs: 0 })
    for (const dir of this.#folders.splice(0)) await rm(dir, { recursive: true, force: true })
  }
}

export function sdk(server: EmbeddedS3, more: object = {}): S3Client {
  return new S3Client({
    endpoint: server.url,
    region: server.region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    ...more,
  })
}

export type RawRequest = {
  readonly method?: string
  /** As it goes on the wire, encoded. */
  readonly path?: string
  /** What is signed for it, decoded, where `path` is not plain. */
  readonly decodedPath?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  readonly at?: number
  readonly region?: string
  readonly service?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly payloadHash?: string
  /** Headers that are sent but left out of the signature. */
  readonly unsigned?: Readonly<Record<string, string>>
  /** Changes the signed request before it is sent. */
  readonly tamper?: {
    readonly path?: string
    readonly headers?: Readonly<Record<string, string | undefined>>
    readonly authorization?: (text: string) => string
  }
}

export type RawResponse = {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
  /** The `<Code>` of an error, or ''. */
  readonly code: string
}

export function timestampOf(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

/** Signs a request by hand and returns what goes on the wire, so that a test can spoil any of it. */
export function signed(server: EmbeddedS3, raw: RawRequest) {
  const timestamp = timestampOf(raw.at ?? Date.now())
  const wire = raw.path ?? `/${BUCKET}`
  const body = raw.body ?? ''
  const payloadHash = raw.payloadHash ?? createHash('sha256').update(body).digest('hex')
  const headers: Record<string, string> = {
    host: `127.0.0.1:${server.port}`,
    'x-amz-date': timestamp,
    'x-amz-content-sha256': payloadHash,
    ...raw.headers,
  }
  const scope = {
    date: timestamp.slice(0, 8),
    region: raw.region ?? server.region,
    service: raw.service ?? 's3',
  }
  const signedHeaders = Object.keys(headers).sort()
  const canonical = canonicalRequest({
    method: raw.method ?? 'GET',
    path: raw.decodedPath ?? wire,
    query: Object.entries(raw.query ?? {}).map(([name, value]) => ({ name, value })),
    signedHeaders,
    headers: new Map(Object.entries(headers)),
    payloadHash,
  })
  const key = new SigningKeys(raw.secretAccessKey ?? credentials.secretAccessKey).get(scope)
  const signature = sign(key, stringToSign(timestamp, scope, canonical))
  const credential = `${raw.accessKeyId ?? credentials.accessKeyId}/${scopeText(scope)}`
  const authorization = `${ALGORITHM} Credential=${credential}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature}`
  const query = new URLSearchParams(raw.query).toString()
  const { tamper } = raw
  const sent = Object.entries({
    ...headers,
    ...raw.unsigned,
    authorization: tamper?.authorization?.(authorization) ?? authorization,
    ...tamper?.headers,
  }).flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]))
  const request = {
    path: tamper?.path ?? (query === '' ? wire : `${wire}?${query}`),
    headers: Object.fromEntries(sent),
  }
  return { ...request, method: raw.method ?? 'GET', body, signature, timestamp, scope: scopeText(scope), key }
}

/** A presigned path with query, made by hand. */
export function presigned(server: EmbeddedS3, raw: RawRequest & { readonly expires?: string }): string {
  const timestamp = timestampOf(raw.at ?? Date.now())
  const scope = { date: timestamp.slice(0, 8), region: raw.region ?? server.region, service: 's3' }
  const headers: Record<string, string> = { host: `127.0.0.1:${server.port}`, ...raw.headers }
  const signedHeaders = Object.keys(headers).sort()
  const query: Record<string, string> = {
    ...raw.query,
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Credential': `${raw.accessKeyId ?? credentials.accessKeyId}/${scopeText(scope)}`,
    'X-Amz-Date': timestamp,
    'X-Amz-Expires': raw.expires ?? '60',
    'X-Amz-SignedHeaders': signedHeaders.join(';'),
  }
  const canonical = canonicalRequest({
    method: raw.method ?? 'GET',
    path: raw.path ?? `/${BUCKET}`,
    query: Object.entries(query).map(([name, value]) => ({ name, value })),
    signedHeaders,
    headers: new Map(Object.entries(headers)),
    payloadHash: 'UNSIGNED-PAYLOAD',
  })
  const key = createSecretKey(new SigningKeys(raw.secretAccessKey ?? credentials.secretAccessKey).get(scope).export())
  const all = { ...query, 'X-Amz-Signature': sign(key, stringToSign(timestamp, scope, canonical)) }
  return `${raw.path ?? `/${BUCKET}`}?${new URLSearchParams(all)}`
}

export function send(
  server: EmbeddedS3,
  request: { path: string; method?: string; headers?: Record<string, string>; body?: string | Buffer },
): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      { host: '127.0.0.1', port: server.port, agent: false, ...request, headers: request.headers ?? {} },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const body = Buffer.concat(chunks)
          const code = /<Code>(.*?)<\/Code>/.exec(body.toString())?.[1] ?? ''
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body, code })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(request.body)
  })
}

export function call(server: EmbeddedS3, raw: RawRequest): Promise<RawResponse> {
  return send(server, signed(server, raw))
}
