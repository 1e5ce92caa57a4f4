import type { Catalogue, Move, MoveCounts, MoveFile } from '../catalogue/index.ts'
import type { Clock } from '../clock.ts'
import { type Collection, KeepsakeError } from '../media/index.ts'
import type { ObjectStore } from '../stores/index.ts'
import { BucketSource } from './migrate/bucket-source.ts'
import { FolderSource } from './migrate/folder-source.ts'
import { type MigrateOptions, type MigrateResult, migrate } from './migrate/migrate.ts'
import { type Rehearsal, rehearse } from './migrate/rehearse.ts'
import { type RetireResult, retire } from './migrate/retire.ts'
import type { MoveSource } from './migrate/source.ts'

export type MovingParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly clock: Clock
  readonly collections: ReadonlyMap<string, Collection>
  readonly spoolDir: string
  /** Opens another bucket with the same address and credentials. */
  readonly openBucket: (bucket: string) => Promise<ObjectStore>
}

export type MigrateRequest = Omit<MigrateOptions, 'collection'> & {
  /** The collection's name. */
  readonly collection: string
}

export type RehearseRequest = Pick<
  MigrateRequest,
  'collection' | 'match' | 'map' | 'keepKeys' | 'owner' | 'attributes' | 'signal'
> & { readonly onProgress?: (files: number, bytes: number) => void }

/** Existing media on its way into Keepsake. */
export interface Moving {
  /**
   * Takes a folder, or `s3://bucket/prefix`, into a collection. What was stopped goes on with the next call.
   *
   * @example
   * await keepsake.moving.migrate('old-files', { collection: 'generations', match: '{owner}/{name}.{ext}' })
   *
   * @throws `collection_not_found`, `invalid_request`, `invalid_source`, `attempt_superseded`, `store_denied`,
   * `store_unavailable`, `catalogue_unavailable`
   */
  migrate(source: string, request: MigrateRequest): Promise<MigrateResult>

  /** What {@link Moving.migrate} would do. Nothing is changed. */
  rehearse(source: string, request: RehearseRequest): Promise<Rehearsal>

  /** Removes from the source what a finished move took over. */
  retire(move: string, options?: { readonly signal?: AbortSignal }): Promise<RetireResult>

  get(move: string): Promise<Move | undefined>

  /** The last moves, newest first, up to a thousand. */
  list(limit?: number): Promise<readonly (Move & { readonly counts: MoveCounts })[]>

  /** The files of a move that failed, with why, in the order of their paths. */
  failures(move: string, options?: { readonly after?: string; readonly limit?: number }): Promise<readonly MoveFile[]>
}

export function createMoving(parts: MovingParts): Moving {
  const { catalogue, collections } = parts
  const collectionOf = (name: string): Collection => {
    const collection = collections.get(name)
    if (collection) return collection
    throw new KeepsakeError(
      'collection_not_found',
      `There is no collection '${name}'. Declared: ${[...collections.keys()].join(', ')}.`,
    )
  }
  const withSource = async <T>(text: string, work: (source: MoveSource) => Promise<T>): Promise<T> => {
    const source = await openSource(text, parts)
    try {
      return await work(source)
    } finally {
      await source.close()
    }
  }
  return {
    migrate: (source, { collection: name, ...options }) => {
      const collection = collectionOf(name)
      return withSource(source, (opened) => migrate(parts, opened, { ...options, collection }))
    },
    rehearse: (source, { collection: name, match, map, keepKeys = false, owner, attributes = {}, ...rest }) => {
      const collection = collectionOf(name)
      const options = { match: match ?? null, map: map ?? null, keepKeys, owner: owner ?? null, attributes }
      const signal = rest.signal ?? new AbortController().signal
      return withSource(source, (opened) => rehearse(opened, collection, options, signal, rest.onProgress))
    },
    async retire(id, { signal = new AbortController().signal } = {}) {
      const move = await catalogue.getMove(id)
      if (move === undefined) throw new KeepsakeError('invalid_request', `There is no move '${id}'.`)
      return withSource(move.source, (opened) => retire(parts, opened, id, signal))
    },
    get: (move) => catalogue.getMove(move),
    async list(limit = 20) {
      const moves = await catalogue.listMoves(limit)
      return Promise.all(moves.map(async (move) => ({ ...move, counts: await catalogue.countMoveFiles(move.id) })))
    },
    failures: (move, { after = '', limit = 1000 } = {}) => catalogue.moveFiles(move, ['failed'], after, limit),
  }
}

async function openSource(text: string, { openBucket, spoolDir, store }: MovingParts): Promise<MoveSource> {
  const match = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(text)
  if (match?.[1] !== undefined) {
    const [, bucket, prefix = ''] = match
    const isOwn = store.name === `s3://${bucket}`
    return new BucketSource({ bucket, prefix, store: await openBucket(bucket), spoolDir, isOwn })
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw new KeepsakeError('invalid_source', 'A source is a folder, or s3://bucket/prefix.')
  }
  return new FolderSource(text)
}
