import { createReadStream } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatSize } from '../../media/index.ts'
import { type AssetAnswer, assetSchema, type Client, withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { Progress } from '../progress.ts'
import { parsePairs } from '../text.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type ImportOptions = CommonOptions & {
  readonly collection: string
  readonly owner?: string
  readonly attr: readonly string[]
  readonly prompt?: string
  readonly model?: string
  readonly provider?: string
  readonly seed?: string
  readonly filename?: string
  readonly idempotencyKey?: string
  readonly wait?: boolean
}

/** Milliseconds: how long `--wait` looks for the end of a pending import, and between two looks. */
const waitDeadline = 600_000
const firstLook = 500
const lastLook = 5_000
/** A multiple of 3, so that base64 texts can be joined. */
const chunkSize = 3 * 64 * 1024

export async function importVerb(source: string, options: ImportOptions, io: Io): Promise<ExitCode> {
  const attributes = options.attr.length === 0 ? undefined : parsePairs(options.attr)
  const given = await openSource(source, io)
  const request = {
    owner: options.owner,
    attributes,
    provenance: provenanceOf(options),
    filename: options.filename ?? given.filename,
  }
  const progress = new Progress(io, `importing ${given.label}`, { quiet: options.json === true })
  try {
    return await withClient(options, io, async (client) => {
      const first = await client.json(
        assetSchema,
        `/v1/collections/${encodeURIComponent(options.collection)}/imports`,
        {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
          },
          body: given.body(request, progress),
          long: true,
        },
      )
      const asset = options.wait ? await waitForEnd(client, first, io) : first
      progress.stop()
      return report(asset, options, io)
    })
  } finally {
    progress.stop()
    given.close?.()
  }
}

function provenanceOf({ prompt, model, provider, seed }: ImportOptions) {
  const given = { prompt, model, provider, seed }
  return Object.values(given).every((value) => value === undefined) ? undefined : given
}

type GivenSource = {
  readonly label: string
  readonly filename?: string
  readonly body: (request: object, progress: Progress) => string | AsyncIterable<Uint8Array>
  /** Whoever refuses early does not read to the end. */
  readonly close?: () => void
}

async function openSource(source: string, io: Io): Promise<GivenSource> {
  if (/^https?:\/\//i.test(source)) {
    return {
      label: source.replace(/[?#].*$/s, ''),
      body: (request) => JSON.stringify({ ...request, source: { url: source } }),
    }
  }
  if (/^data:/i.test(source)) {
    return { label: 'data', body: (request) => JSON.stringify({ ...request, source: { dataUri: source } }) }
  }
  if (source === '-') {
    if (io.stdin.isTTY) throw CliFailure.usage('- reads from standard input, which is a terminal. Pipe a file into it.')
    return { label: 'standard input', body: (request, progress) => encodeBody(request, io.stdin, progress) }
  }
  const size = await fileSize(source)
  const file = createReadStream(source, { highWaterMark: chunkSize })
  // A failure is thrown to whoever reads; one that comes before must not end the process.
  file.on('error', () => {})
  return {
    label: basename(source),
    filename: basename(source),
    body: (request, progress) => encodeBody(request, file, progress, size),
    close: () => file.destroy(),
  }
}

async function fileSize(path: string): Promise<number> {
  try {
    const found = await stat(path)
    await access(path, constants.R_OK)
    if (found.isFile()) return found.size
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw CliFailure.usage(`'${path}' is neither a URL nor a file that can be read (${code}).`)
  }
  throw CliFailure.usage(`'${path}' is not a file.`)
}

/** The request's JSON with the bytes as base64, made as it is sent: a large file is never whole in memory. */
async function* encodeBody(
  request: object,
  bytes: AsyncIterable<Uint8Array>,
  progress: Progress,
  total?: number,
): AsyncGenerator<Uint8Array> {
  const fields = JSON.stringify(request).slice(1, -1)
  yield Buffer.from(`{${fields}${fields === '' ? '' : ','}"source":{"base64":"`)
  let rest = Buffer.alloc(0)
  for await (const chunk of bytes) {
    progress.add(chunk.byteLength, total)
    const joined = Buffer.concat([rest, chunk])
    const whole = joined.length - (joined.length % 3)
    rest = joined.subarray(whole)
    if (whole > 0) yield Buffer.from(joined.toString('base64', 0, whole), 'latin1')
  }
  yield Buffer.from(`${rest.toString('base64')}"}}`)
}

async function waitForEnd(client: Client, first: AssetAnswer, io: Io): Promise<AssetAnswer> {
  const until = performance.now() + waitDeadline
  let asset = first
  for (
    let pause = firstLook;
    asset.state === 'pending' && performance.now() < until;
    pause = Math.min(pause * 1.5, lastLook)
  ) {
    await sleep(pause, undefined, { signal: io.signal }).catch(() => {
      throw CliFailure.interrupted()
    })
    asset = await client.json(assetSchema, `/v1/assets/${first.id}`)
  }
  return asset
}

function report(asset: AssetAnswer, options: ImportOptions, io: Io): ExitCode {
  if (options.json) io.stdout.write(jsonDocument(asset))
  else io.stdout.write(`${asset.id}\n`)
  const why = asset.problem ? ` ${printable(asset.problem.message)} [${asset.problem.code}]` : ''
  if (asset.state === 'stored') {
    const facts = [asset.contentType, asset.size === null ? null : formatSize(asset.size)].filter(
      (fact) => fact !== null,
    )
    if (!options.json && io.stderr.isTTY) io.stderr.write(`stored: ${facts.map(printable).join(', ')}\n`)
    return exitCodes.ok
  }
  if (asset.state === 'pending') {
    if (!options.json) io.stderr.write(`keepsake: pending.${why} A running server goes on trying.\n`)
    return exitCodes.unavailable
  }
  if (!options.json) io.stderr.write(`keepsake: ${asset.state}.${why}\n`)
  return exitCodes.refused
}
