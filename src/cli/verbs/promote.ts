import { z } from 'zod'
import { formatSize } from '../../media/index.ts'
import { withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

const resultSchema = z.looseObject({ promoted: z.number(), bytes: z.number(), gone: z.number(), failed: z.number() })

export async function promoteVerb(options: CommonOptions, io: Io): Promise<ExitCode> {
  const { type: _, ...result } = await withClient(options, io, (client) =>
    client.lines(resultSchema, '/v1/promotions', { method: 'POST' }),
  )
  const { promoted, bytes, failed } = result
  const rest = failed === 0 ? '' : `; ${failed} could not be moved yet, see the log`
  io.stdout.write(
    options.json ? jsonDocument(result) : `moved ${promoted} assets to the bucket, ${formatSize(bytes)}${rest}\n`,
  )
  return failed === 0 ? exitCodes.ok : exitCodes.failure
}
