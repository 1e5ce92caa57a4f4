import { createHash } from 'node:crypto'
import type { CopiedFile } from '../../catalogue/index.ts'
import { factsFromObject } from '../../intake/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { listedAsPut } from './listed-as-put.ts'
import { Outcomes } from './outcomes.ts'
import type { MoveRun } from './run.ts'

/**
 * Looks at what was copied, all of it. Each put was hash-checked by the store when it came in; that the object which
 * the store answered for then lies there now, the bucket's list says for a thousand at a time, by size and ETag. What
 * the list does not prove is asked for by itself: its size, and the hash it was put with. In full, every byte is read.
 */
export async function verifyPage(run: MoveRun, files: readonly CopiedFile[]): Promise<void> {
  const { catalogue } = run.parts
  const verified: string[] = []
  const outcomes = new Outcomes(run)
  const proven = run.verification === 'full' ? new Set<string>() : await listedAsPut(run, files)
  // One of them is asked for all the same: whether what an object says about itself came along, no list tells.
  const [sample] = files
  const isProven = ({ path }: CopiedFile) => path !== sample?.path && proven.has(path)
  const verifyOne = async (file: CopiedFile) => {
    try {
      if (!isProven(file)) await run.pace.run(() => verify(run, file))
      verified.push(file.path)
      run.progress.passed(file.size)
      run.troubles.passed()
    } catch (error) {
      outcomes.fail(file.path, error)
    }
  }
  await Promise.all(files.map(verifyOne))
  await catalogue.markVerified(run.move.id, verified)
  await outcomes.write()
}

async function verify(run: MoveRun, file: CopiedFile): Promise<void> {
  const { store } = run.parts
  const { key, asset } = file
  if (key === null) throw new KeepsakeError('asset_gone', 'Its asset was deleted or given up meanwhile.')
  const head = await store.head(key, { signal: run.signal })
  if (head === undefined) throw new KeepsakeError('object_missing', 'The copy is not there.')
  if (head.size !== file.size || factsFromObject({ id: asset, key }, head)?.sha256 !== file.sha256) {
    throw new KeepsakeError('content_mismatch', 'The copy is not what was sent.')
  }
  if (run.verification !== 'full') return
  await run.pace.bytes(head.size, run.signal)
  const hash = createHash('sha256')
  const { body } = await store.get(key, { signal: run.signal })
  for await (const chunk of body) hash.update(chunk)
  if (hash.digest('hex') !== file.sha256) {
    throw new KeepsakeError('content_mismatch', 'The copy reads back as other bytes than were sent.')
  }
}
