import { useCallback, useEffect, useRef, useState } from 'react'
import type { Asset } from '../client/index.ts'
import { useKeepsake } from './provider.ts'

/** An asset, whose own link then serves as long as it works, or its id. */
export type MediaAsset = string | Pick<Asset, 'id' | 'url' | 'urlExpiresAt'>

export type UseLinkOptions = {
  /** The name of a derived image. */
  readonly variant?: string | undefined
  /** Asked when the link nears its end: true while it is better left alone, as under a film that plays. */
  readonly isInUse?: (() => boolean) | undefined
  /** Called before another URL takes the place of the one that was given. */
  readonly onExchange?: (() => void) | undefined
  /** Why there is no link. */
  readonly onUnavailable?: ((error: unknown) => void) | undefined
}

export type UseLink = {
  /** Undefined until there is one. */
  readonly url: string | undefined
  /** Counts the failures that a fresh link was fetched for: where it moved on, the same URL is worth another try. */
  readonly attempt: number
  /** The link did not open. False: so it was too often, and no other one is fetched. */
  fail(): boolean
}

type Held = { readonly url: string; readonly expiresAt: Date | null; readonly attempt: number }

/** Failures that fetch a fresh link, within the time below: an asset that cannot be shown must not ask for ever. */
const maxFailures = 3
/** Milliseconds after which a failure is forgotten. */
const failureMemory = 30_000
/** Milliseconds between looks at a link that is in use. */
const inUseCheck = 5_000
/** Milliseconds; also for a clock so wrong that links seem to have ended before they came. */
const longestWait = 3_600_000
const skewedWait = 60_000
/** The share of what is left of a link's life after which it is exchanged; the client's own share is less. */
const share = 0.95

/** A link to an asset that is exchanged before it ends, and when it fails. */
export function useLink(asset: MediaAsset, options: UseLinkOptions = {}): UseLink {
  const client = useKeepsake()
  const id = typeof asset === 'string' ? asset : asset.id
  const { variant } = options
  const own = typeof asset === 'string' || variant !== undefined ? undefined : ownLink(asset)
  const [held, setHeld] = useState<Held | undefined>(own)
  const failures = useRef<number[]>([])
  const [attempt, setAttempt] = useState(0)
  const latest = useRef({ options, own, url: held?.url })
  useEffect(() => {
    latest.current = { options, own, url: held?.url }
  })

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let over = false
    const hold = (link: Held) => {
      if (link.url !== latest.current.url) latest.current.options.onExchange?.()
      setHeld(link)
      if (link.expiresAt) timer = setTimeout(exchange, waitFor(link.expiresAt))
    }
    const exchange = () => {
      if (latest.current.options.isInUse?.()) timer = setTimeout(exchange, inUseCheck)
      else fetchLink(false)
    }
    const fetchLink = (fresh: boolean) => {
      client.link(id, { variant, fresh }).then(
        (link) => {
          if (!over) hold({ ...link, attempt })
        },
        (error: unknown) => {
          if (!over) latest.current.options.onUnavailable?.(error)
        },
      )
    }
    const given = latest.current.own
    if (attempt === 0 && given && isGood(given)) {
      hold(given)
    } else {
      // Another asset's picture must not stand in for this one.
      if (attempt === 0) setHeld(undefined)
      fetchLink(attempt > 0)
    }
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [client, id, variant, attempt])

  const fail = useCallback(() => {
    const now = Date.now()
    failures.current = failures.current.filter((time) => now - time < failureMemory)
    if (failures.current.length >= maxFailures) return false
    failures.current.push(now)
    setAttempt((before) => before + 1)
    return true
  }, [])
  return { url: held?.url, attempt: held?.attempt ?? 0, fail }
}

function ownLink({ url, urlExpiresAt }: Exclude<MediaAsset, string>): Held | undefined {
  return url === null
    ? undefined
    : { url, expiresAt: urlExpiresAt === null ? null : new Date(urlExpiresAt), attempt: 0 }
}

function isGood({ expiresAt }: Held): boolean {
  return expiresAt === null || expiresAt.getTime() > Date.now()
}

function waitFor(expiresAt: Date): number {
  const left = expiresAt.getTime() - Date.now()
  return left <= 0 ? skewedWait : Math.min(longestWait, left * share)
}
