import { useCallback, useEffect, useRef, useState } from 'react'
import { type Asset, KeepsakeClientError, type ListQuery } from '../client/index.ts'
import { useKeepsake } from './provider.ts'

export type UseAssets = {
  /** Newest first. */
  readonly assets: readonly Asset[]
  readonly loading: boolean
  /** Why the last page, or a removal, failed; undefined once something succeeds. */
  readonly error: unknown
  readonly hasMore: boolean
  loadMore(): void
  /** From the first page. What is shown stays until it is there. */
  reload(): void
  /** Takes the asset off the list at once, and puts it back where the removal fails. Never rejects: see `error`. */
  remove(id: string): Promise<void>
}

type Listing = {
  readonly assets: readonly Asset[]
  readonly cursor: string | null
  readonly loading: boolean
  readonly error: unknown
}

const nothing: Listing = { assets: [], cursor: null, loading: true, error: undefined }

/**
 * The assets of a collection, a page at a time.
 *
 * @example
 * const { assets, hasMore, loadMore, remove } = useAssets('avatars', { kind: 'image', limit: 20 })
 */
export function useAssets(collection: string, query: Omit<ListQuery, 'cursor'> = {}): UseAssets {
  const client = useKeepsake()
  const [listing, setListing] = useState(nothing)
  /** Off the list, whatever a page that comes late says. */
  const removed = useRef(new Set<string>())
  const turn = useRef(0)
  // A query is written anew at each render, and means the same as long as it says the same.
  const wanted = JSON.stringify([collection, query])
  const latest = useRef(query)
  useEffect(() => {
    latest.current = query
  })

  const load = useCallback(
    async (cursor: string | null) => {
      turn.current += 1
      const mine = turn.current
      setListing((before) => ({ ...before, loading: true }))
      try {
        const page = await client.list(collection, { ...latest.current, cursor: cursor ?? undefined })
        if (mine !== turn.current) return
        const fresh = page.assets.filter(({ id }) => !removed.current.has(id))
        setListing(({ assets }) => ({
          assets: cursor === null ? fresh : [...assets, ...fresh],
          cursor: page.nextCursor,
          loading: false,
          error: undefined,
        }))
      } catch (error) {
        if (mine === turn.current) setListing((before) => ({ ...before, loading: false, error }))
      }
    },
    [client, collection],
  )

  // biome-ignore lint/correctness/useExhaustiveDependencies: another query is another list
  useEffect(() => {
    setListing(nothing)
    void load(null)
    return () => {
      turn.current += 1
    }
  }, [load, wanted])

  const { assets, cursor, loading, error } = listing
  const remove = async (id: string) => {
    const index = assets.findIndex((asset) => asset.id === id)
    const asset = assets[index]
    removed.current.add(id)
    setListing((before) => ({ ...before, assets: before.assets.filter((other) => other.id !== id) }))
    try {
      await client.remove(id)
    } catch (problem) {
      // Somebody else was faster: it is as gone as it should be.
      if (problem instanceof KeepsakeClientError && problem.code === 'asset_not_found') return
      removed.current.delete(id)
      setListing((before) => ({
        ...before,
        assets: asset ? before.assets.toSpliced(index, 0, asset) : before.assets,
        error: problem,
      }))
    }
  }
  return {
    ...{ assets, loading, error, remove, hasMore: cursor !== null },
    loadMore: () => {
      if (cursor !== null && !loading) void load(cursor)
    },
    reload: () => void load(null),
  }
}
