import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { z } from 'zod'
import { freshDatabase } from './fresh-database.ts'
import { startTestServer, type TestServerOptions } from './http.ts'
import { startSourceServer } from './source-server.ts'

const assetSchema = z.looseObject({
  id: z.string(),
  collection: z.string(),
  owner: z.string(),
  state: z.enum(['pending', 'stored', 'failed']),
  key: z.string().nullable(),
  contentType: z.string().nullable(),
  size: z.number().nullable(),
  sha256: z.string().nullable(),
  url: z.string().nullable(),
  urlSource: z.string().nullable(),
  urlExpiresAt: z.string().nullable(),
  createdAt: z.string(),
  storedAt: z.string().nullable(),
  problem: z.strictObject({ code: z.string(), message: z.string() }).optional(),
})
export type AssetAnswer = z.output<typeof assetSchema>

const pageSchema = z.strictObject({ assets: z.array(assetSchema), nextCursor: z.string().nullable() })

const auditSchema = z.strictObject({
  entries: z.array(
    z.looseObject({
      action: z.string(),
      asset: z.string(),
      owner: z.string(),
      actor: z.string(),
      requestId: z.string().optional(),
      detail: z.looseObject({}),
    }),
  ),
  nextCursor: z.string().nullable(),
})

const urlsSchema = z.strictObject({
  urls: z.array(
    z.union([
      z.strictObject({ id: z.string(), url: z.string(), expiresAt: z.string() }),
      z.strictObject({ id: z.string(), code: z.string() }),
    ]),
  ),
})

const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string().min(1),
  status: z.number(),
  detail: z.string().min(1),
  code: z.string(),
  requestId: z.string().min(1),
  asset: z.string().optional(),
})

type Headers = Readonly<Record<string, string>>

/** How long a test waits for work in the background, in milliseconds: only a defect takes that long. */
const longest = 45_000

/** A client of the HTTP contract that reads answers strictly. `headers` go with every request. */
export class ApiClient {
  readonly #base: string
  readonly #headers: Headers

  constructor(base: string, headers: Headers) {
    this.#base = base
    this.#headers = headers
  }

  call(path: string, init: { method?: string; body?: unknown; headers?: Headers } = {}): Promise<Response> {
    const { body, headers } = init
    return fetch(this.#base + path, {
      method: init.method ?? (body === undefined ? 'GET' : 'POST'),
      redirect: 'manual',
      headers: { ...this.#headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  import(source: unknown, fields: object = {}, headers: Headers = {}, collection = 'generations'): Promise<Response> {
    return this.call(`/v1/collections/${collection}/imports`, { body: { source, ...fields }, headers })
  }

  /** An import that is stored by the time it answers. */
  async keep(source: unknown, fields?: object, headers?: Headers, collection?: string): Promise<AssetAnswer> {
    return readAsset(await this.import(source, fields, headers, collection), 201)
  }

  async asset(id: string): Promise<AssetAnswer> {
    return readAsset(await this.call(`/v1/assets/${id}`), 200)
  }

  async list(query = '', collection = 'generations') {
    const response = await this.call(`/v1/collections/${collection}/assets${query}`)
    expect(response.status).toBe(200)
    return pageSchema.parse(await response.json())
  }

  async audit(query = '') {
    const response = await this.call(`/v1/audit${query}`)
    expect(response.status).toBe(200)
    return auditSchema.parse(await response.json())
  }

  async urls(ids: readonly string[], fields: object = {}) {
    const response = await this.call('/v1/urls', { body: { assets: ids.map((id) => ({ id })), ...fields } })
    expect(response.status).toBe(200)
    return urlsSchema.parse(await response.json()).urls
  }

  /** The asset once nothing more is to be done for it. */
  settled(id: string): Promise<AssetAnswer> {
    return until(
      () => this.asset(id),
      ({ state }) => state !== 'pending',
    )
  }
}

/** Looks again and again until it is so. */
export async function until<T>(look: () => Promise<T>, isSo: (found: T) => boolean): Promise<T> {
  const deadline = performance.now() + longest
  for (;;) {
    const found = await look()
    if (isSo(found)) return found
    if (performance.now() > deadline)
      throw new Error(`It did not come to pass. The last look: ${JSON.stringify(found)}`)
    await delay(25)
  }
}

export async function readAsset(response: Response, status: number): Promise<AssetAnswer> {
  const body: unknown = await response.json()
  expect(response.status, JSON.stringify(body)).toBe(status)
  return assetSchema.parse(body)
}

/** A problem document, checked against what every one of them promises. */
export async function readProblem(response: Response) {
  const body: unknown = await response.json()
  expect(response.headers.get('content-type'), JSON.stringify(body)).toBe('application/problem+json')
  const problem = problemSchema.parse(body)
  expect(problem.status).toBe(response.status)
  expect(problem.type).toBe(`/docs/errors#${problem.code}`)
  expect(problem.requestId).toBe(response.headers.get('x-request-id'))
  return problem
}

export type Service = Awaited<ReturnType<typeof startService>>

/** The whole service with a source beside it that imports may come from. */
async function startService(options: TestServerOptions, closeAfter: () => Promise<void>) {
  const source = await startSourceServer()
  const server = await startTestServer({ allowHosts: [source.host], ...options })
  const as = (token: string) => new ApiClient(server.url, { authorization: `Bearer ${token}` })
  const { bucket, spoolDir } = server.parts
  return {
    source,
    server,
    bucket,
    as,
    /** The keys in the bucket, those of one wallet's generations for instance. */
    async objects(prefix = '') {
      const keys: string[] = []
      for await (const { key } of bucket.list({ prefix })) keys.push(key)
      return keys
    },
    /** What lies in the folder for imports on their way. */
    spooled: () => readdir(spoolDir, { recursive: true }).catch(() => []),
    async stop() {
      await server.stop()
      await source.close()
      await closeAfter()
    },
  }
}

type Backend = { readonly name: string; start(options?: TestServerOptions): Promise<Service> }

export const pglite: Backend = { name: 'PGlite', start: (options = {}) => startService(options, async () => {}) }

const postgres: Backend = {
  name: 'PostgreSQL',
  async start(options = {}) {
    const database = await freshDatabase()
    return startService({ ...options, databaseUrl: database.url }, () => database.drop())
  },
}

/** The two databases that Keepsake runs on, each with a whole service over it, for `describe.each`. */
export const backends: readonly Backend[] = [pglite, postgres]

/** What a link gives, as a browser without any credentials gets it. */
export async function open(url: string | null): Promise<{ status: number; type: string | null; bytes: Buffer }> {
  const response = await fetch(url ?? '')
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, type: response.headers.get('content-type'), bytes }
}
