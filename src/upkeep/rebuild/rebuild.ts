import type { Actor, Catalogue, RebuildVerdict } from '../../catalogue/index.ts'
import { type Collection, isReservedKey, KeepsakeError } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'
import { readMark } from '../reconcile/marker.ts'
import { canBeRowKey } from '../row-key.ts'
import { lookAt } from './look.ts'
import { Pace } from './pace.ts'

export type RebuildParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly collections: ReadonlyMap<string, Collection>
}

export type RebuildRequest = {
  /** Only say what would be done. Default: true. */
  readonly dryRun?: boolean
  /** Add what is absent to a catalogue that is not empty. Default: false. */
  readonly intoExisting?: boolean
  /** Read the objects that nobody hashed, to hash them; without, they are left out. Default: true. */
  readonly hash?: boolean
}

export type RebuildProgress =
  | { readonly phase: 'list'; readonly listed: number }
  | {
      readonly phase: 'look' | 'judge'
      readonly done: number
      readonly of: number
      /** Objects a second, lately. */
      readonly rate: number
      readonly secondsLeft: number | null
    }

/** An object that did not become an asset, for people to look at. */
export type RebuildFinding = {
  readonly key: string
  readonly verdict: RebuildVerdict
  readonly asset: string | null
  /** Of the object or the row that was preferred. */
  readonly otherKey: string | null
}

export type RebuildResult = {
  readonly dryRun: boolean
  /** Objects in the bucket, without what is under `.keepsake/`, `quarantine/` and `temp/`, which are `skipped`, as is a key no row could have. */
  readonly listed: number
  readonly skipped: number
  /** Assets that were added; in a dry run, that would be. */
  readonly added: number
  /** Bytes of them. */
  readonly bytes: number
  /** How many objects came to which end. */
  readonly verdicts: Readonly<Record<RebuildVerdict, number>>
  /** The first hundred of each end but `add`, `present`. */
  readonly findings: readonly RebuildFinding[]
  /** Collections that objects name and nobody declares. */
  readonly undeclared: readonly string[]
  /** The id that the catalogue took over from the bucket's marker; null where there is none. In a dry run: would take. */
  readonly catalogueId: string | null
}

const page = 1000
/** Objects that are looked at at the same time. */
const atOnce = 32
const examples = 100
/**
 * Seconds in which nothing rebuilt expires: an asset that was pinned, or had a time of its own, is not known as such any
 * more, and somebody must get the time to say so again.
 */
const grace = 30 * 86_400

/**
 * Makes the catalogue anew out of what the objects in the bucket say about themselves: a lost database costs no asset.
 *
 * First every object is listed, then those that are not known are looked at, then assets are made of them. All of it is
 * noted in the catalogue, so that a run that broke off goes on where it was, and the run after a dry one is short.
 *
 * @throws `invalid_request` where the catalogue is in use, or belongs to another bucket; whatever the store and the
 * catalogue throw: run it again.
 */
export async function rebuild(
  parts: RebuildParts,
  request: RebuildRequest,
  actor: Actor,
  { signal, onProgress = () => {} }: { signal?: AbortSignal; onProgress?: (progress: RebuildProgress) => void } = {},
): Promise<RebuildResult> {
  const { catalogue } = parts
  const { dryRun = true, intoExisting = false, hash = true } = request
  const catalogueId = await checkGround(parts, intoExisting)
  const begun = await catalogue.beginRebuild()
  const { skipped } = await list(parts, signal, onProgress)
  await catalogue.forgetUnlisted(begun)
  const { listed, toLook } = await catalogue.countNoted(hash)
  await look(parts, hash, toLook, signal, onProgress)
  if (!dryRun && catalogueId !== null) await catalogue.adoptInstallation(catalogueId)
  const judged = await judge(parts, { dryRun, of: listed, actor, signal, onProgress })
  if (!dryRun) await catalogue.endRebuild()
  return { dryRun, listed, skipped, ...judged, catalogueId }
}

/** @returns The id to take over, or null. */
async function checkGround({ catalogue, store }: RebuildParts, intoExisting: boolean): Promise<string | null> {
  const [ground, marked, own] = await Promise.all([
    catalogue.rebuildGround(),
    readMark(store),
    catalogue.installationId(),
  ])
  if (ground === 'empty') return marked ?? null
  if (!intoExisting) {
    throw new KeepsakeError(
      'invalid_request',
      'The catalogue is in use, and a rebuild is for an empty one. To add the assets that it does not know, and change ' +
        'none that it does, say so: --into-existing ("intoExisting").',
    )
  }
  if (marked !== undefined && marked !== own) {
    throw new KeepsakeError(
      'invalid_request',
      `The bucket belongs to the catalogue ${marked}, and this one is ${own}. Connect to the bucket or the database that ` +
        'belong together; an empty catalogue takes over the bucket.',
    )
  }
  return null
}

async function list(
  { catalogue, store }: RebuildParts,
  signal: AbortSignal | undefined,
  onProgress: (progress: RebuildProgress) => void,
): Promise<{ skipped: number }> {
  let [skipped, listed] = [0, 0]
  let noted: Parameters<Catalogue['noteListed']>[0][number][] = []
  const note = async () => {
    await catalogue.noteListed(noted)
    listed += noted.length
    noted = []
    onProgress({ phase: 'list', listed })
  }
  for await (const { key, etag, size, lastModified } of store.list(signal ? { signal } : {})) {
    if (isReservedKey(key) || !canBeRowKey(key)) skipped += 1
    else noted.push({ key, etag, size, lastModified })
    if (noted.length === page) await note()
  }
  await note()
  return { skipped }
}

async function look(
  { catalogue, store }: RebuildParts,
  hash: boolean,
  of: number,
  signal: AbortSignal | undefined,
  onProgress: (progress: RebuildProgress) => void,
): Promise<void> {
  const pace = new Pace(of)
  let after = ''
  for (;;) {
    const objects = await catalogue.toLook(after, page, hash)
    const last = objects.at(-1)
    if (last === undefined) return
    after = last.key
    for (let start = 0; start < objects.length; start += 4 * atOnce) {
      signal?.throwIfAborted()
      const some = objects.slice(start, start + 4 * atOnce)
      // Noted in small portions, so that a run that breaks off in the middle of large ones has not read them in vain.
      await catalogue.noteFound(await lookAt(store, some, { hash, atOnce, ...(signal ? { signal } : {}) }))
      onProgress({ phase: 'look', ...pace.add(some.length) })
    }
  }
}

type JudgeOptions = {
  readonly dryRun: boolean
  readonly of: number
  readonly actor: Actor
  readonly signal: AbortSignal | undefined
  readonly onProgress: (progress: RebuildProgress) => void
}

async function judge(
  { catalogue, collections }: RebuildParts,
  { dryRun, of, actor, signal, onProgress }: JudgeOptions,
): Promise<Pick<RebuildResult, 'added' | 'bytes' | 'verdicts' | 'findings' | 'undeclared'>> {
  const keep = Object.fromEntries(
    [...collections.values()].flatMap((it) => (it.keep === null ? [] : [[it.name, it.keep]])),
  )
  const verdicts: Record<RebuildVerdict, number> = {
    add: 0,
    present: 0,
    foreign: 0,
    invalid: 0,
    unhashed: 0,
    differs: 0,
    retired: 0,
    deleted: 0,
    duplicate: 0,
    'other-object': 0,
    'key-taken': 0,
  }
  const findings: RebuildFinding[] = []
  const undeclared = new Set<string>()
  const pace = new Pace(of)
  let [added, bytes, after] = [0, 0, '']
  for (;;) {
    signal?.throwIfAborted()
    const judged = await catalogue.judgeFound(after, page)
    const last = judged.at(-1)
    if (last === undefined) break
    for (const { verdict, size, collection, ...rest } of judged) {
      verdicts[verdict] += 1
      if (verdict === 'add') bytes += size
      else if (verdict !== 'present' && verdicts[verdict] <= examples) findings.push({ verdict, ...rest })
      if (collection !== null && !collections.has(collection)) undeclared.add(collection)
    }
    if (!dryRun) added += await catalogue.insertRebuilt({ after, through: last.key }, { keep, grace }, actor)
    after = last.key
    onProgress({ phase: 'judge', ...pace.add(judged.length) })
  }
  return { added: dryRun ? verdicts.add : added, bytes, verdicts, findings, undeclared: [...undeclared].sort() }
}
