import { createHash } from 'node:crypto'
import type { MoveFile } from '../../catalogue/index.ts'
import { factsFromObject } from '../../intake/index.ts'
import { type AssetRecord, KeepsakeError } from '../../media/index.ts'
import { Outcomes } from './outcomes.ts'
import type { MoveRun } from './run.ts'

/**
 * Looks at what was copied. Each put was hash-checked by the store when it came in; here the object is asked for its
 * size and for the hash it was put with or, in full, read again to its last byte.
 */
export async function verifyBatch(run: MoveRun, files: readonly MoveFile[]): Promise<void> {
  const { catalogue } = run.parts
  const assets = new Map(
    (
      await catalogue.placedAssets(
        run.move.id,
        files.map(({ path }) => path),
      )
    ).map((it) => [it.id, it]),
  )
  const verified: string[] = []
  const outcomes = new Outcomes(run)
  await Promise.all(
    files.map(async (file) => {
      try {
        const asset = file.asset === null ? undefined : assets.get(file.asset)
        if (asset === undefined) throw new KeepsakeError('asset_gone', 'Its asset was deleted meanwhile.')
        await run.pace.run(() => verify(run, file, asset))
        verified.push(file.path)
        run.progress.passed(file.size)
        run.troubles.passed()
      } catch (error) {
        outcomes.fail(file.path, error)
      }
    }),
  )
  await catalogue.markMoveFiles(run.move.id, 'verified', verified)
  await outcomes.write()
}

async function verify(run: MoveRun, file: MoveFile, asset: AssetRecord): Promise<void> {
  const { store } = run.parts
  if (asset.key === null) throw new KeepsakeError('asset_gone', 'Its asset was given up meanwhile.')
  const head = await store.head(asset.key, { signal: run.signal })
  if (head === undefined) throw new KeepsakeError('object_missing', 'The copy is not there.')
  if (head.size !== file.size || factsFromObject(asset, head)?.sha256 !== file.sha256) {
    throw new KeepsakeError('content_mismatch', 'The copy is not what was sent.')
  }
  if (run.verification !== 'full') return
  await run.pace.bytes(head.size, run.signal)
  const hash = createHash('sha256')
  const { body } = await store.get(asset.key, { signal: run.signal })
  for await (const chunk of body) hash.update(chunk)
  if (hash.digest('hex') !== file.sha256) {
    throw new KeepsakeError('content_mismatch', 'The copy reads back as other bytes than were sent.')
  }
}
