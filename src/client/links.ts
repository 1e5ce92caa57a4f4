import type { Api } from './api.ts'
import { KeepsakeClientError } from './error.ts'
import type { Link } from './types.ts'

export type LinkOptions = {
  /** The name of a derived image. */
  readonly variant?: string | undefined
  /** Asks the server although a link is at hand: for one that did not open. */
  readonly fresh?: boolean | undefined
}

type Wanted = {
  readonly id: string
  readonly variant: string | undefined
  readonly resolve: (link: Link) => void
  readonly reject: (error: unknown) => void
}
type Cached = { readonly link: Promise<Link>; goodUntil: number }
type Answer = { urls: ({ id: string; url: string; expiresAt: string } | { id: string; code: string })[] }

/** The contract's limit of one request. */
const batch = 1000
const maxCached = 5000
/** The share of its life after which a link is exchanged: what is given out works for a while yet. */
const share = 0.9

/** Links, asked for together and kept until they near their end. */
export class Links {
  readonly #api: Api
  readonly #expiresIn: number | undefined
  readonly #cache = new Map<string, Cached>()
  #wanted: Wanted[] = []

  constructor(api: Api, expiresIn: number | undefined) {
    this.#api = api
    this.#expiresIn = expiresIn
  }

  get(id: string, { variant, fresh }: LinkOptions): Promise<Link> {
    const key = `${id} ${variant ?? ''}`
    const known = this.#cache.get(key)
    if (known && !fresh && Date.now() < known.goodUntil) return known.link
    const link = this.#ask(id, variant)
    const cached: Cached = { link, goodUntil: Number.POSITIVE_INFINITY }
    this.#cache.delete(key)
    this.#cache.set(key, cached)
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= maxCached) break
      this.#cache.delete(oldest)
    }
    link.then(
      ({ expiresAt }) => {
        const now = Date.now()
        cached.goodUntil = now + (expiresAt.getTime() - now) * share
      },
      () => {
        cached.goodUntil = 0
      },
    )
    return link
  }

  /** An asset that is gone: its link must not be given out again. */
  drop(id: string): void {
    for (const key of this.#cache.keys()) if (key.startsWith(`${id} `)) this.#cache.delete(key)
  }

  #ask(id: string, variant: string | undefined): Promise<Link> {
    return new Promise((resolve, reject) => {
      if (this.#wanted.length === 0) setTimeout(() => this.#flush())
      this.#wanted.push({ id, variant, resolve, reject })
    })
  }

  #flush(): void {
    const wanted = this.#wanted
    this.#wanted = []
    while (wanted.length > 0) void this.#fetch(wanted.splice(0, batch))
  }

  async #fetch(wanted: readonly Wanted[]): Promise<void> {
    try {
      const assets = wanted.map(({ id, variant }) => ({ id, variant }))
      const { urls } = await this.#api<Answer>('POST', '/v1/urls', { assets, expiresIn: this.#expiresIn })
      for (const [index, { id, resolve, reject }] of wanted.entries()) {
        const answer = urls[index]
        if (answer && 'url' in answer) resolve({ url: answer.url, expiresAt: new Date(answer.expiresAt) })
        else reject(new KeepsakeClientError(answer?.code ?? 'unexpected_answer', 200, `There is no link to ${id}.`))
      }
    } catch (error) {
      for (const { reject } of wanted) reject(error)
    }
  }
}
