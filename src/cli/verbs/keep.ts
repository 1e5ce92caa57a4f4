import { z } from 'zod'
import { assetSchema, withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { localTime } from '../text.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type KeepOptions = CommonOptions & { readonly pin?: boolean; readonly unpin?: boolean }

const keptSchema = assetSchema.extend({ expiresAt: z.string().optional(), pinned: z.boolean().optional() })

export async function keepVerb(id: string, time: string | undefined, options: KeepOptions, io: Io): Promise<ExitCode> {
  if (options.pin && options.unpin) throw CliFailure.usage('--pin and --unpin exclude each other.')
  if (time === undefined && !options.pin && !options.unpin) {
    throw CliFailure.usage('Say how long (30d, 1y, forever), or --pin or --unpin.')
  }
  const changes = {
    ...(time === undefined ? {} : { keep: time === 'forever' ? null : time }),
    ...(options.pin || options.unpin ? { pinned: options.pin === true } : {}),
  }
  const asset = await withClient(options, io, (client) =>
    client.json(keptSchema, `/v1/assets/${encodeURIComponent(id)}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(changes),
    }),
  )
  if (options.json) {
    io.stdout.write(jsonDocument(asset))
    return exitCodes.ok
  }
  const end = asset.expiresAt === undefined ? 'for ever' : `until ${localTime(asset.expiresAt)}`
  io.stdout.write(asset.pinned ? 'kept for as long as it is pinned\n' : `kept ${end}\n`)
  return exitCodes.ok
}
