import { z } from 'zod'

const assetSchema = z.object({
  id: z.string(),
  state: z.enum(['pending', 'stored', 'failed', 'deleting']),
  key: z.string().nullable(),
  sha256: z.string().nullable(),
  size: z.number().nullable(),
})
const problemSchema = z.object({ code: z.string(), detail: z.string() })
const pageSchema = z.object({ assets: z.array(assetSchema), nextCursor: z.string().nullable() })
const urlsSchema = z.object({
  urls: z.array(
    z.union([z.object({ id: z.string(), url: z.string() }), z.object({ id: z.string(), code: z.string() })]),
  ),
})

export type AssetAnswer = z.infer<typeof assetSchema>

/** What came of a request: an answer, a problem document, or nothing: the connection broke, or nobody was there. */
export type Outcome<T> =
  | { readonly kind: 'answer'; readonly status: number; readonly value: T }
  | { readonly kind: 'problem'; readonly status: number; readonly code: string; readonly detail: string }
  | { readonly kind: 'broken' }
  | { readonly kind: 'refused' }

/** An outcome that somebody gave. */
export type Answered<T> = Exclude<Outcome<T>, { kind: 'broken' } | { kind: 'refused' }>

export type ImportBody = {
  readonly source: { readonly url: string } | { readonly base64: string }
  readonly owner: string
  readonly attributes: Readonly<Record<string, string>>
  readonly provenance: { readonly requestId: string }
}

const deadline = 70_000

/** A caller of the HTTP contract that takes nothing for granted: every answer is parsed. */
export class Client {
  readonly #url: string
  readonly #apiKey: string

  constructor(url: string, apiKey: string) {
    this.#url = url
    this.#apiKey = apiKey
  }

  import(body: ImportBody, idempotencyKey: string, signal?: AbortSignal): Promise<Outcome<AssetAnswer>> {
    return this.#call(assetSchema, '/v1/collections/generations/imports', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(body),
      signal,
    })
  }

  delete(id: string): Promise<Outcome<unknown>> {
    return this.#call(z.unknown(), `/v1/assets/${id}`, { method: 'DELETE' })
  }

  get(id: string): Promise<Outcome<AssetAnswer>> {
    return this.#call(assetSchema, `/v1/assets/${id}`, {})
  }

  list(query: Readonly<Record<string, string>>): Promise<Outcome<z.infer<typeof pageSchema>>> {
    return this.#call(pageSchema, `/v1/collections/generations/assets?${new URLSearchParams(query)}`, {})
  }

  /** Signed links, up to 1000 at once. */
  urls(ids: readonly string[]): Promise<Outcome<z.infer<typeof urlsSchema>>> {
    return this.#call(urlsSchema, '/v1/urls', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ assets: ids.map((id) => ({ id })) }),
    })
  }

  /** How many assets are in each state, from the metrics: deleting ones are shown to nobody. */
  async states(): Promise<ReadonlyMap<string, number> | undefined> {
    const response = await this.#fetch('/metrics', {}).catch(() => undefined)
    if (!response?.ok) return undefined
    const text = await response.text()
    if (!/^keepsake_catalogue_up 1$/m.test(text)) return undefined
    return new Map(
      [...text.matchAll(/^keepsake_assets\{state="(\w+)"\} (\d+)$/gm)].map(([, state, n]) => [`${state}`, Number(n)]),
    )
  }

  async #call<T>(schema: z.ZodType<T>, path: string, init: RequestInit): Promise<Outcome<T>> {
    let response: Response
    let text: string
    try {
      response = await this.#fetch(path, init)
      text = await response.text()
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined
      const refused = cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
      return { kind: refused ? 'refused' : 'broken' }
    }
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    if (response.ok) return { kind: 'answer', status: response.status, value: schema.parse(body) }
    return { kind: 'problem', status: response.status, ...problemSchema.parse(body) }
  }

  #fetch(path: string, init: RequestInit): Promise<Response> {
    const signals = [AbortSignal.timeout(deadline), ...(init.signal ? [init.signal] : [])]
    return fetch(`${this.#url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${this.#apiKey}`, ...init.headers },
      signal: AbortSignal.any(signals),
    })
  }
}
