import { assetSchema, withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export async function showVerb(id: string, options: CommonOptions, io: Io): Promise<ExitCode> {
  const asset = await withClient(options, io, (client) =>
    client.json(assetSchema, `/v1/assets/${encodeURIComponent(id)}`),
  )
  io.stdout.write(options.json ? jsonDocument(asset) : facts(asset))
  return exitCodes.ok
}

/** One fact a line; what is empty is left out. */
function facts(asset: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(asset).filter(([, value]) => !isEmpty(value))
  const width = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${shown(value)}\n`).join('')
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)
}

function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return printable(String(value))
  return Object.entries(value)
    .map(([name, entry]) => printable(`${name}=${typeof entry === 'string' ? entry : JSON.stringify(entry)}`))
    .join('  ')
}
