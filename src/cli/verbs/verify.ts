import { z } from 'zod'
import { formatSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type VerifyOptions = CommonOptions & {
  readonly level: string
  readonly budget?: string
  readonly bandwidth?: string
  readonly owner?: string
  readonly collection?: string
  readonly force?: boolean
}

const resultSchema = z.looseObject({
  level: z.string(),
  checked: z.number(),
  ok: z.number(),
  missing: z.number(),
  corrupt: z.number(),
  marked: z.number(),
  recovered: z.number(),
  unknown: z.number(),
  unproven: z.number(),
  bytesRead: z.number(),
  complete: z.boolean(),
})

const foundSchema = z.looseObject({
  found: z.looseObject({ asset: z.string(), owner: z.string(), key: z.string(), health: z.string() }),
})
type Found = z.output<typeof foundSchema>['found']

export async function verifyVerb(options: VerifyOptions, io: Io): Promise<ExitCode> {
  const { level, budget, bandwidth, owner, collection, force } = options
  const unwell: Found[] = []
  const { type: _, ...result } = await withClient(options, io, (client) =>
    client.lines(
      resultSchema,
      '/v1/verify',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ level, budget, bandwidth, owner, collection, force }),
      },
      (line) => {
        const told = foundSchema.safeParse(line)
        if (!told.success) return
        unwell.push(told.data.found)
        const { asset, owner: whose, key, health } = told.data.found
        if (!options.json) io.stdout.write(`${health} ${asset} ${printable(whose)} ${printable(key)}\n`)
      },
    ),
  )
  if (options.json) io.stdout.write(jsonDocument({ ...result, unwell }))
  else io.stderr.write(`${summary(result)}\n`)
  if (result.missing + result.corrupt > 0) return exitCodes.failure
  return result.unknown > 0 ? exitCodes.unavailable : exitCodes.ok
}

function summary(result: z.output<typeof resultSchema>): string {
  const parts = [`${result.checked} looked at (${result.level})`, `${result.ok} well`]
  if (result.missing > 0) parts.push(`${result.missing} missing`)
  if (result.corrupt > 0) parts.push(`${result.corrupt} corrupt`)
  if (result.recovered > 0) parts.push(`${result.recovered} well again`)
  if (result.unknown > 0) parts.push(`${result.unknown} unknown: the store refused or failed`)
  if (result.unproven > 0) parts.push(`${result.unproven} without a hash in the store (--level full reads them)`)
  if (result.bytesRead > 0) parts.push(`${formatSize(result.bytesRead)} read`)
  if (!result.complete) parts.push('the rest comes first the next time')
  return parts.join(', ')
}
