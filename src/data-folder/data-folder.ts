import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, realpath, rm, unlink, writeFile } from 'node:fs/promises'
import type { Server } from 'node:net'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import { FileLock } from './file-lock.ts'
import { findHolder, type Holder, holderPath, holderText, lockPath } from './holder.ts'
import { codeOf, createPrivateFile, readIfPresent, replacePrivateFile } from './private-file.ts'
import { prepareSocketFolder, socketPath } from './socket-path.ts'
import { Spool } from './spool.ts'

export type DataFolderOptions = {
  /**
   * Take the one lock. Needed wherever PGlite or the embedded S3 keeps its files here: two processes on one PGlite
   * folder corrupt it. With a database and a bucket elsewhere the folder only holds secrets and a spool, which any
   * number of processes may share. Default: true.
   */
  readonly exclusive?: boolean
}

export type SecretOptions = {
  /** Random bytes in it. Default: 32. */
  readonly bytes?: number
  /** What it starts with, so that a leaked one is recognised. Default: nothing. */
  readonly prefix?: string
  /** `base64url`, or `upper` for capital letters and digits only. Default: base64url. */
  readonly alphabet?: 'base64url' | 'upper'
}

const namePattern = /^[a-z][a-z0-9-]{0,62}$/

/**
 * Opens the folder where an installation keeps what it has by itself: database, objects, secrets, spool. Made for one
 * user alone (0700).
 *
 * @throws {KeepsakeError} `data_folder_locked` where another process holds it, saying which and how to reach it;
 * `invalid_setting` where the folder cannot be used.
 */
export async function openDataFolder(dir: string, options: DataFolderOptions = {}): Promise<DataFolder> {
  return await DataFolder.open(dir, options)
}

/** An open data folder; see {@link openDataFolder}. */
export class DataFolder {
  /** The folder's real path. */
  readonly root: string
  /** Whether this process alone holds the folder. */
  readonly exclusive: boolean
  readonly #lock: FileLock | undefined
  readonly #spool: Spool
  #holder: Holder
  #closed = false

  private constructor(root: string, lock: FileLock | undefined, spool: Spool, holder: Holder) {
    this.root = root
    this.exclusive = lock !== undefined
    this.#lock = lock
    this.#spool = spool
    this.#holder = holder
  }

  static async open(dir: string, options: DataFolderOptions): Promise<DataFolder> {
    let lock: FileLock | undefined
    try {
      const root = await prepare(dir)
      const holder = { pid: process.pid, host: hostname(), startedAt: new Date(), socket: socketPath(root) }
      if (options.exclusive ?? true) {
        lock = await FileLock.take(lockPath(root))
        if (!lock) throw await lockedError(root)
        // Until the new text is there nobody shall read a dead holder's.
        await rm(holderPath(root), { force: true })
        await replacePrivateFile(holderPath(root), holderText(holder))
        await unlink(holder.socket).catch(() => {})
      }
      return new DataFolder(root, lock, await Spool.open(join(root, 'spool')), holder)
    } catch (error) {
      lock?.release()
      throw unusable(dir, error)
    }
  }

  /** A folder of this process alone for bytes on their way; empty at first and gone after the process. */
  get spool(): string {
    return this.#spool.path
  }

  /** A path inside the folder. */
  path(...segments: string[]): string {
    return join(this.root, ...segments)
  }

  /**
   * A secret that is made once, at random, and is the same on every start and in every process that shares the folder.
   * It lies in `secrets/<name>`, readable by this user alone; to change it, replace the file's text and start again.
   */
  async secret(name: string, options: SecretOptions = {}): Promise<string> {
    checkName(name)
    const path = this.path('secrets', name)
    const value = (await createPrivateFile(path, `${newSecret(options)}\n`)).trim()
    if (value === '') {
      throw new KeepsakeError('invalid_setting', `The secret ${path} is empty. Remove the file to get a new one.`)
    }
    return value
  }

  /** The API key of an installation that was not given one: `ks_` and 43 characters. */
  async apiKey(): Promise<string> {
    return await this.secret('api-key', { prefix: 'ks_' })
  }

  /** The access key of the embedded S3, in the shape of AWS's own. */
  async embeddedS3Credentials(): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }> {
    return {
      accessKeyId: await this.secret('embedded-s3-access-key-id', { prefix: 'KS', bytes: 18, alphabet: 'upper' }),
      secretAccessKey: await this.secret('embedded-s3-secret-access-key', { bytes: 30 }),
    }
  }

  /** Writes a small value down for later starts. */
  async remember(name: string, value: unknown): Promise<void> {
    checkName(name)
    await replacePrivateFile(this.path('state', `${name}.json`), `${JSON.stringify(value)}\n`)
  }

  /** What {@link remember} wrote, or undefined where there is nothing of that shape. */
  async recall<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    checkName(name)
    const text = await readIfPresent(this.path('state', `${name}.json`))
    if (text === undefined) return undefined
    try {
      const parsed = schema.safeParse(JSON.parse(text))
      return parsed.success ? parsed.data : undefined
    } catch {
      return undefined
    }
  }

  /** Tells others where this process serves HTTP. Only for the one who holds the folder alone. */
  async announce(url: string): Promise<void> {
    if (!this.exclusive) return
    this.#holder = { ...this.#holder, url }
    await replacePrivateFile(holderPath(this.root), holderText(this.#holder))
  }

  /**
   * Lets a server listen where the command line looks for the holder, in place of a dead one's socket, for this user
   * alone. Only for the one who holds the folder alone.
   */
  async listen(server: Server): Promise<string> {
    const { socket } = this.#holder
    if (!this.exclusive) {
      throw new KeepsakeError('internal', `The socket ${socket} is for the process that holds the folder alone.`)
    }
    await prepareSocketFolder(socket)
    await unlink(socket).catch(() => {})
    await new Promise<void>((done, failed) => {
      server.once('error', failed)
      server.listen(socket, () => {
        server.off('error', failed)
        done()
      })
    })
    await chmod(socket, 0o600)
    return socket
  }

  /** Lets go of the folder. Harmless when repeated. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#spool.close()
    if (this.exclusive) {
      await unlink(this.#holder.socket).catch(() => {})
      await rm(holderPath(this.root), { force: true })
    }
    this.#lock?.release()
  }
}

async function prepare(dir: string): Promise<string> {
  const made = await mkdir(dir, { recursive: true, mode: 0o700 })
  const root = await realpath(dir)
  // Somebody may name a folder that has other things in it, even the project: leave that one's face alone.
  if (made !== undefined || (await readdir(root)).length === 0) {
    // A mounted volume may belong to another user and yet be writable; what is secret inside is private by itself.
    await chmod(root, 0o700).catch(() => {})
    // The default folder lies in a project: its secrets shall not be committed.
    await writeFile(join(root, '.gitignore'), '*\n')
  }
  for (const part of ['secrets', 'state']) await mkdir(join(root, part), { recursive: true, mode: 0o700 })
  return root
}

async function lockedError(root: string): Promise<KeepsakeError> {
  const holder = await findHolder(root)
  const who = holder && holder.pid !== 0 ? `process ${holder.pid} on ${holder.host}` : 'another process'
  const where = holder ? ` It answers at ${holder.url ?? holder.socket}.` : ''
  return new KeepsakeError(
    'data_folder_locked',
    `The data folder ${root} is held by ${who}.${where} Stop that process, or choose another KEEPSAKE_DATA_DIR.`,
    { details: { folder: root, pid: holder?.pid ?? null, url: holder?.url ?? null, socket: holder?.socket ?? null } },
  )
}

function unusable(dir: string, error: unknown): KeepsakeError {
  if (KeepsakeError.is(error)) return error
  return new KeepsakeError(
    'invalid_setting',
    `The data folder ${resolve(dir)} cannot be used (${codeOf(error) ?? String(error)}). ` +
      'KEEPSAKE_DATA_DIR must name a folder that this user can create files in, on a disk that can lock files.',
    { cause: error },
  )
}

function newSecret({ bytes = 32, prefix = '', alphabet = 'base64url' }: SecretOptions): string {
  const random = randomBytes(bytes)
  if (alphabet === 'base64url') return prefix + random.toString('base64url')
  // 32 of the 36 letters and digits, so that every byte gives 5 unbiased bits.
  return prefix + Array.from(random, (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.charAt(byte & 31)).join('')
}

function checkName(name: string): void {
  if (!namePattern.test(name)) {
    throw new KeepsakeError('internal', `'${name}' is no name for a file here. Allowed: ${namePattern.source}.`)
  }
}
