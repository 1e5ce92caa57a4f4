import type { CopiedFile, MoveFile, PlacedAsset, PlacedFile } from '../../catalogue/index.ts'
import { type DescribedAsset, factsFromObject, objectMetadata, servedAs } from '../../intake/index.ts'
import { KeepsakeError, newAssetId } from '../../media/index.ts'
import { type Inspected, inspect } from './inspect.ts'
import { Outcomes } from './outcomes.ts'
import type { MoveRun } from './run.ts'

/** Seconds that a placed asset waits for its move to come back before the regular sweep settles it: a week. */
export const placedLease = 7 * 86_400

/** The asset that a file's object is put for. */
type Target = DescribedAsset & { readonly key: string }

/**
 * A batch of files on its way into the store: looked at, placed in the catalogue by one statement, put, marked by
 * another. A file that was placed by a run that died is put again under the same key: create-only, so it is the same
 * bytes that lie there, or nothing.
 */
export async function copyBatch(run: MoveRun, files: readonly MoveFile[]): Promise<void> {
  const { catalogue } = run.parts
  const outcomes = new Outcomes(run)
  const looked = await Promise.all(
    files.map((file) =>
      run.reading
        .run(() => inspect(run.source, file, run.collection, run.signal))
        .catch((error: unknown) => {
          outcomes.fail(file.path, error)
          return undefined
        }),
    ),
  )
  const inspected = looked.filter((it) => it !== undefined)
  const copied = new Map<string, Pick<CopiedFile, 'path' | 'etag'>>()
  try {
    const assets = await place(run, files, inspected, outcomes)
    await Promise.all(
      inspected.map(async (it) => {
        const asset = assets.get(it.file.path)
        if (asset === undefined) return
        try {
          const { path } = it.file
          copied.set(path, { path, etag: await put(run, it, asset) })
          run.progress.passed(it.file.size)
          run.troubles.passed()
        } catch (error) {
          outcomes.fail(it.file.path, error)
        }
      }),
    )
    await catalogue.markCopied(run.move.id, [...copied.values()])
  } finally {
    // What was not put may still be on its way out: memory that it lies in is left to the collector.
    const done = inspected.filter(({ file, held }) => held.bytes === undefined || copied.has(file.path))
    await Promise.all(done.map(({ held }) => held.dispose()))
  }
  await outcomes.write()
}

/** The asset of each file: one that waits for it since an earlier run, or a new one. */
async function place(
  run: MoveRun,
  files: readonly MoveFile[],
  inspected: readonly Inspected[],
  outcomes: Outcomes,
): Promise<ReadonlyMap<string, Target>> {
  const { catalogue } = run.parts
  const assets = new Map<string, Target>()
  const before = new Map(files.flatMap((file) => (file.asset === null ? [] : [[file.path, file]])))
  if (before.size > 0) {
    const records = new Map((await catalogue.placedAssets(run.move.id, [...before.keys()])).map((it) => [it.id, it]))
    for (const { file, held } of inspected) {
      const known = before.get(file.path)
      if (known === undefined) continue
      const record = known.asset === null ? undefined : records.get(known.asset)
      const key = record?.key ?? null
      if (record === undefined || key === null || record.state === 'failed' || record.state === 'deleting') {
        outcomes.fail(
          file.path,
          new KeepsakeError('asset_gone', 'Its asset was given up or deleted meanwhile. Retry the file.'),
        )
      } else if (known.sha256 !== held.sha256) {
        outcomes.fail(
          file.path,
          new KeepsakeError('source_gone', 'The file was changed since it was placed. Retry it.'),
        )
      } else assets.set(file.path, { ...record, key })
    }
  }
  const fresh = new Map<string, PlacedFile>()
  for (const it of inspected) {
    if (before.has(it.file.path)) continue
    try {
      const file = planned(run, it)
      fresh.set(file.asset, file)
    } catch (error) {
      outcomes.fail(it.file.path, error)
    }
  }
  for (const { id, createdAt } of await placeAll(run, [...fresh.values()], outcomes)) {
    const file = fresh.get(id)
    if (file === undefined) continue
    const { path, key, owner, attributes } = file
    assets.set(path, { id, key, owner, attributes, createdAt, collection: run.collection.name, attempt: 1 })
  }
  for (const { path, key } of fresh.values()) {
    if (assets.has(path) || outcomes.has(path)) continue
    outcomes.fail(path, new KeepsakeError('object_exists', `The key '${key}' is, or was, another object's.`))
  }
  return assets
}

function planned(run: MoveRun, { file, held, contentType, width, height, duration }: Inspected): PlacedFile {
  const asset = newAssetId()
  const plan = run.plan(file.path, { id: asset, contentType })
  const { size, sha256 } = held
  return { ...plan, path: file.path, asset, contentType, size, sha256, width, height, duration }
}

/** Where the quota is met by the batch as a whole, file by file: what fits still comes in. */
async function placeAll(
  run: MoveRun,
  files: readonly PlacedFile[],
  outcomes: Outcomes,
): Promise<readonly PlacedAsset[]> {
  if (files.length === 0) return []
  const { collection, move } = run
  const options = { lease: placedLease, quota: collection.quota }
  const placeSome = (some: readonly PlacedFile[]) =>
    run.parts.catalogue.placeMoveFiles(move.id, collection.name, some, options)
  try {
    const placed = await placeSome(files)
    // Two of them, or one of them and somebody else's, wanted the same key at the same moment.
    if (placed.length > 0 || files.length === 1) return placed
  } catch (error) {
    if (!KeepsakeError.is(error, 'quota_exceeded')) throw error
  }
  const placed: PlacedAsset[] = []
  for (const file of files) {
    try {
      placed.push(...(await placeSome([file])))
    } catch (error) {
      if (!KeepsakeError.is(error, 'quota_exceeded')) throw error
      outcomes.fail(file.path, error)
    }
  }
  return placed
}

const tries = 4

/** Answers the object's ETag. */
async function put(run: MoveRun, { held, contentType, ...measures }: Inspected, asset: Target): Promise<string> {
  const { store, clock } = run.parts
  const { key } = asset
  const { size, sha256 } = held
  const facts = { size, sha256, width: measures.width, height: measures.height, duration: measures.duration }
  for (let failures = 0; ; failures += 1) {
    await run.pace.bytes(size, run.signal)
    try {
      const { etag } = await run.pace.run(() =>
        store.put({
          key,
          body: held.open(),
          size,
          sha256,
          contentType,
          metadata: objectMetadata(asset, facts),
          ...servedAs(run.collection, contentType),
          signal: run.signal,
        }),
      )
      return etag
    } catch (error) {
      run.signal.throwIfAborted()
      const problem = KeepsakeError.from(error)
      if (problem.code !== 'object_exists' && !problem.retryable) throw problem
      // The outcome may be unknown, or an earlier run's put is there: the object itself tells.
      const head = await store.head(key, { signal: run.signal }).catch(() => undefined)
      if (head !== undefined && factsFromObject(asset, head)?.sha256 === sha256) return head.etag
      if (problem.code === 'object_exists' || failures + 1 >= tries) throw problem
      await clock.sleep(Math.random() * 0.5 * 2 ** failures, run.signal)
    }
  }
}

/**
 * What one statement places, and what is in memory together. A row takes a lock of its own on its key until the
 * statement is committed, and a server has 6,400 of those by default for everybody (max_locks_per_transaction).
 */
const most = { files: 100, bytes: 8 * 1024 * 1024 }

/** Files in groups that are worth a statement and may be in memory together. */
export function* batches(files: readonly MoveFile[]): Generator<MoveFile[], void, undefined> {
  let batch: MoveFile[] = []
  let bytes = 0
  for (const file of files) {
    if (batch.length >= most.files || (batch.length > 0 && bytes + file.size > most.bytes)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(file)
    bytes += file.size
  }
  if (batch.length > 0) yield batch
}
