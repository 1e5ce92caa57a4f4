import { withClient } from '../client.ts'
import { confirm } from '../confirm.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import { failureOf } from '../failure-of.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type RemoveOptions = CommonOptions & { readonly yes?: boolean }

type Outcome =
  | { readonly id: string; readonly state: 'deleted' | 'deleting' }
  | { readonly id: string; readonly code: string }

export async function removeVerb(ids: readonly string[], options: RemoveOptions, io: Io): Promise<ExitCode> {
  if (!options.yes) {
    const what = ids.length === 1 ? printable(ids[0] ?? '') : `${ids.length} assets`
    await confirm(`Delete ${what} for good?`, 'rm deletes for good', io)
  }
  const outcomes: Outcome[] = []
  let exitCode: ExitCode = exitCodes.ok
  await withClient(options, io, async (client) => {
    for (const id of ids) {
      try {
        const { status } = await client.call(`/v1/assets/${encodeURIComponent(id)}`, { method: 'DELETE' })
        outcomes.push({ id, state: status === 202 ? 'deleting' : 'deleted' })
        if (status === 202 && exitCode === exitCodes.ok) exitCode = exitCodes.unavailable
      } catch (error) {
        const failure = failureOf(error)
        // One asset that is gone does not keep the others; a server that is does.
        if (failure.problem.code !== 'asset_not_found') throw failure
        outcomes.push({ id, code: failure.problem.code })
        exitCode = failure.exitCode
      }
    }
  })
  if (options.json) io.stdout.write(jsonDocument({ assets: outcomes }))
  for (const outcome of options.json ? [] : outcomes) {
    if ('code' in outcome) io.stderr.write(`keepsake: no such asset: ${printable(outcome.id)} [${outcome.code}]\n`)
    else io.stdout.write(`${outcome.state} ${outcome.id}\n`)
  }
  return exitCode
}
