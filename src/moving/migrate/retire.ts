import { KeepsakeError } from '../../media/index.ts'
import type { MoveParts } from './run.ts'
import type { MoveSource } from './source.ts'

const page = 200

export type RetireResult = {
  readonly removed: number
  /** Files that stay: they changed since, or their asset is not stored (any more). */
  readonly kept: readonly { readonly path: string; readonly why: string }[]
}

/**
 * Removes from the source what a finished move took over, each file only while it is still as it was and its asset is
 * stored and well.
 *
 * @throws {KeepsakeError} `invalid_request` where the move is not done.
 */
export async function retire(
  { catalogue, store }: Pick<MoveParts, 'catalogue' | 'store'>,
  source: MoveSource,
  id: string,
  signal: AbortSignal,
): Promise<RetireResult> {
  const move = await catalogue.getMove(id)
  if (move === undefined || move.source !== source.name) {
    throw new KeepsakeError('invalid_request', 'There is no such move of this source.')
  }
  if (move.stage !== 'done') {
    throw new KeepsakeError('invalid_request', `The move is at '${move.stage}'. Only what is done may be retired.`)
  }
  // In Keepsake's own bucket a file may be what another asset stands on.
  const own = `${store.name}/`
  const ownPrefix = source.name.startsWith(own) ? source.name.slice(own.length) : null
  let removed = 0
  const kept: { path: string; why: string }[] = []
  let after = ''
  for (;;) {
    signal.throwIfAborted()
    const files = await catalogue.moveFiles(id, ['done'], after, page)
    const last = files.at(-1)
    if (last === undefined) return { removed, kept }
    after = last.path
    const safe = new Set(
      await catalogue.retirableMoveFiles(
        id,
        files.map(({ path }) => path),
        ownPrefix,
      ),
    )
    const gone: string[] = []
    for (const file of files) {
      if (!safe.has(file.path))
        kept.push({ path: file.path, why: 'its asset is not stored or not well, or it is an object of another asset' })
      else if (await source.remove(file)) gone.push(file.path)
      else kept.push({ path: file.path, why: 'it was changed since' })
    }
    await catalogue.retireMoveFiles(id, gone)
    removed += gone.length
  }
}
