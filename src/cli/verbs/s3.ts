import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { FolderHeldError, type RequestInfo, startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { jsonDocument } from './options.ts'

export type S3Options = {
  readonly dir: string
  readonly host: string
  readonly port: string
  readonly bucket: readonly string[]
  readonly json?: boolean
}

const credentialsSchema = z.object({ accessKeyId: z.string().min(1), secretAccessKey: z.string().min(1) })
type Credentials = z.infer<typeof credentialsSchema>

/** Serves the embedded S3 by itself, until the signal. */
export async function s3Verb(options: S3Options, io: Io): Promise<ExitCode> {
  const port = Number(options.port)
  if (!/^\d{1,5}$/.test(options.port) || port > 65_535) {
    throw CliFailure.usage(`--port ${options.port} is no port; give a number from 0 to 65535.`)
  }
  const dir = resolve(options.dir)
  const given = credentialsOf(io.env)
  const credentials = given ?? (await folderCredentials(dir))
  // What a client is only told of as an InternalError; without keys, as everywhere.
  const onRequest = ({ status, error, method, operation = method, bucket, requestId }: RequestInfo) => {
    if (status !== 500) return
    const why = error instanceof Error ? error.message : String(error)
    io.stderr.write(`${printable(`${operation} in ${bucket} failed (request ${requestId}): ${why}`)}\n`)
  }
  const server = await start({ dir, host: options.host, port, credentials, buckets: options.bucket, onRequest })
  try {
    const { url, region } = server
    io.stdout.write(
      options.json
        ? jsonDocument({
            url,
            region,
            dir,
            ...(given === undefined ? credentials : { accessKeyId: given.accessKeyId }),
          })
        : banner(url, region, dir, credentials, given !== undefined),
    )
    await aborted(io.signal)
  } finally {
    await server.close()
  }
  return exitCodes.ok
}

/** The pair that every AWS tool reads, both or neither. */
function credentialsOf({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }: Io['env']) {
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey }
  if (!accessKeyId && !secretAccessKey) return undefined
  throw CliFailure.usage('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; only one of them is set.')
}

/** Those kept in the folder, made at the first start. */
async function folderCredentials(dir: string): Promise<Credentials> {
  const file = join(dir, 'credentials.json')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (kept === undefined) {
    const fresh = {
      accessKeyId: `KS${randomBytes(9).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64url'),
    }
    const unnamed = `${file}.${process.pid}`
    await writeFile(unnamed, `${JSON.stringify(fresh, null, 2)}\n`, { mode: 0o600, flush: true })
    await rename(unnamed, file)
    return fresh
  }
  try {
    return credentialsSchema.parse(JSON.parse(kept))
  } catch {
    throw CliFailure.usage(
      `${file} holds no accessKeyId and secretAccessKey; put them back, or delete it for new ones.`,
    )
  }
}

async function start(options: Parameters<typeof startEmbeddedS3>[0]) {
  try {
    return await startEmbeddedS3(options)
  } catch (error) {
    if (error instanceof FolderHeldError) {
      const title = 'Another process holds the folder'
      throw new CliFailure({ code: 'data_folder_locked', status: 503, title, detail: error.message })
    }
    // A bucket's name that is none.
    if (error instanceof TypeError) throw CliFailure.usage(error.message)
    if (error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) {
      throw CliFailure.usage(`${options.host}:${options.port} cannot be had (${error.code}); give another --port.`)
    }
    throw error
  }
}

function banner(url: string, region: string, dir: string, credentials: Credentials, given: boolean): string {
  const lines = [
    `S3 serves at ${url}`,
    `  region  ${region}`,
    `  data    ${dir}`,
    `  key     ${credentials.accessKeyId}`,
  ]
  if (!given) lines.push(`  secret  ${credentials.secretAccessKey}   (generated, kept in the folder)`)
  return `${lines.join('\n')}\n\n`
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }))
}
