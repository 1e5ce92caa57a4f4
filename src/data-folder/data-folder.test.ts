import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import { type DataFolder, findHolder, openDataFolder, preferredPort, socketPath } from './index.ts'

let base: string
let dir: string
const children: ChildProcess[] = []
const folders: DataFolder[] = []

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'keepsake-folder-'))
  dir = join(base, 'data')
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  for (const folder of folders.splice(0)) await folder.close()
  await rm(base, { recursive: true, force: true })
})

async function open(options?: { exclusive?: boolean }): Promise<DataFolder> {
  const folder = await openDataFolder(dir, options)
  folders.push(folder)
  return folder
}

/** Another process that opens the folder, says one line, and stays. */
async function otherProcess(body: string): Promise<{ child: ChildProcess; said: string }> {
  const door = new URL('./index.ts', import.meta.url).href
  const script = `import { openDataFolder } from ${JSON.stringify(door)}; const dir = ${JSON.stringify(dir)};
    setInterval(() => {}, 1000); ${body}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })
  const [said] = await Promise.race([once(lines, 'line'), once(child, 'exit')])
  return { child, said: String(said) }
}

const holding = "await openDataFolder(dir); console.log('holding')"

async function errorOf(work: Promise<unknown>): Promise<KeepsakeError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!KeepsakeError.is(error)) throw new Error(`Expected a KeepsakeError, got ${String(error)}`)
  return error
}

describe('the lock', () => {
  test('a second process is refused with the holder’s pid and where to reach it', async () => {
    const { child } = await otherProcess(
      "const folder = await openDataFolder(dir); await folder.announce('http://127.0.0.1:8123'); console.log('holding')",
    )
    const error = await errorOf(openDataFolder(dir))
    expect(error.code).toBe('data_folder_locked')
    expect(error.message).toContain(`process ${child.pid}`)
    expect(error.message).toContain('http://127.0.0.1:8123')
    expect(error.details).toMatchObject({ pid: child.pid, socket: socketPath(dir) })
  })

  test('a second open in the same process is refused, and may follow the close', async () => {
    const first = await open()
    expect((await errorOf(openDataFolder(dir))).code).toBe('data_folder_locked')
    await first.close()
    await open()
  })

  test('another name of the same folder is the same lock', async () => {
    await open()
    const error = await errorOf(openDataFolder(join(dir, '..', 'data', '.')))
    expect(error.code).toBe('data_folder_locked')
  })

  test('kill -9 of the holder lets the next one in at once', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { child } = await otherProcess(holding)
      child.kill('SIGKILL')
      await once(child, 'exit')
      expect(await findHolder(dir)).toBeUndefined()
      const folder = await openDataFolder(dir)
      expect((await findHolder(dir))?.pid).toBe(process.pid)
      await folder.close()
    }
  })

  test('of many that start at the same moment exactly one gets it', async () => {
    const race = `try { await openDataFolder(dir); console.log('got it') } catch (error) { console.log(error.code) }`
    const said = await Promise.all(Array.from({ length: 4 }, () => otherProcess(race)))
    expect(said.map((one) => one.said).sort()).toEqual([
      'data_folder_locked',
      'data_folder_locked',
      'data_folder_locked',
      'got it',
    ])
  })

  test('asking who holds the folder never keeps somebody from opening it', async () => {
    await (await openDataFolder(dir)).close()
    let asking = true
    const asked = (async () => {
      while (asking) {
        await findHolder(dir)
        await new Promise(setImmediate)
      }
    })()
    for (let round = 0; round < 20; round += 1) await (await openDataFolder(dir)).close()
    asking = false
    await asked
  })

  test('processes whose database and bucket are elsewhere share the folder', async () => {
    const { said } = await otherProcess("await openDataFolder(dir, { exclusive: false }); console.log('sharing')")
    expect(said).toBe('sharing')
    const folder = await open({ exclusive: false })
    expect(folder.exclusive).toBe(false)
    expect(await findHolder(dir)).toBeUndefined()
  })
})

describe('the holder', () => {
  test('is found by its pid, start, socket and, once it serves, its address', async () => {
    expect(await findHolder(dir)).toBeUndefined()
    const before = Date.now()
    const folder = await open()
    const holder = await findHolder(dir)
    expect(holder).toMatchObject({ pid: process.pid, socket: socketPath(dir) })
    expect(holder?.url).toBeUndefined()
    expect(holder?.startedAt.getTime()).toBeGreaterThanOrEqual(before)
    await folder.announce('http://127.0.0.1:9')
    expect((await findHolder(dir))?.url).toBe('http://127.0.0.1:9')
    await folder.close()
    expect(await findHolder(dir)).toBeUndefined()
  })

  test('a dead holder’s file is not taken for a live one', async () => {
    const { child } = await otherProcess(holding)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await readFile(join(dir, 'holder.json'), 'utf8')).toContain(String(child.pid))
    expect(await findHolder(dir)).toBeUndefined()
  })

  test('asking about a folder that is not there makes nothing', async () => {
    expect(await findHolder(join(base, 'nowhere'))).toBeUndefined()
    expect(await readdir(base)).toEqual([])
  })
})

describe('the socket', () => {
  async function greet(path: string): Promise<string> {
    const connection = createConnection(path)
    const [chunk] = await once(connection, 'data')
    connection.destroy()
    return String(chunk)
  }

  for (const [what, make] of [
    ['in the folder', () => dir],
    ['of a folder with a long path', () => join(base, 'a'.repeat(120), 'b'.repeat(120), 'data')],
  ] as const) {
    test(`${what} serves this user alone and takes the place of a dead one`, async () => {
      dir = make()
      const folder = await open()
      const path = socketPath(dir)
      expect(Buffer.byteLength(path)).toBeLessThanOrEqual(100)
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeFile(path, 'left by a dead process')
      const server = createServer((socket) => socket.end('hello'))
      expect(await folder.listen(server)).toBe(path)
      expect((await stat(path)).mode & 0o777).toBe(0o600)
      expect((await stat(dirname(path))).mode & 0o077).toBe(0)
      expect(await greet(path)).toBe('hello')
      server.close()
    })
  }

  test('two folders with long paths have two sockets', () => {
    const long = 'a'.repeat(120)
    expect(socketPath(join(base, long, 'one'))).not.toBe(socketPath(join(base, long, 'two')))
  })
})

describe('secrets', () => {
  test('are made once, are the same on every start, and are readable by this user alone', async () => {
    const first = await open()
    const key = await first.apiKey()
    const credentials = await first.embeddedS3Credentials()
    expect(key).toMatch(/^ks_[A-Za-z0-9_-]{43}$/)
    expect(credentials.accessKeyId).toMatch(/^KS[A-Z2-7]{18}$/)
    expect(credentials.secretAccessKey).toMatch(/^[A-Za-z0-9_-]{40}$/)
    for (const name of await readdir(first.path('secrets'))) {
      expect((await stat(first.path('secrets', name))).mode & 0o777).toBe(0o600)
    }
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    await first.close()
    const second = await open()
    expect(await second.apiKey()).toBe(key)
    expect(await second.embeddedS3Credentials()).toEqual(credentials)
    expect(await second.secret('other')).not.toBe(await second.secret('another'))
  })

  test('first starts at the same moment agree on one', async () => {
    const body = `const folder = await openDataFolder(dir, { exclusive: false }); console.log(await folder.apiKey())`
    const said = (await Promise.all(Array.from({ length: 4 }, () => otherProcess(body)))).map((one) => one.said)
    expect(new Set(said).size).toBe(1)
    expect(said[0]).toMatch(/^ks_/)
  })

  test('within one process too', async () => {
    const folder = await open()
    const values = await Promise.all(Array.from({ length: 50 }, () => folder.secret('many')))
    expect(new Set(values).size).toBe(1)
    expect(await readdir(folder.path('secrets'))).toEqual(['many'])
  })

  test('an empty one stops the start instead of being used', async () => {
    const folder = await open()
    await writeFile(folder.path('secrets', 'api-key'), '\n')
    const error = await errorOf(folder.apiKey())
    expect(error.code).toBe('invalid_setting')
    expect(error.message).toContain('Remove the file')
  })

  test('a default folder in a project is not committed; a folder with other things in it keeps its face', async () => {
    await open()
    expect(await readFile(join(dir, '.gitignore'), 'utf8')).toBe('*\n')
    const project = join(base, 'project')
    await mkdir(project, { mode: 0o755 })
    await writeFile(join(project, 'package.json'), '{}')
    const folder = await openDataFolder(project)
    expect(await readdir(project)).not.toContain('.gitignore')
    expect((await stat(project)).mode & 0o777).toBe(0o755)
    await folder.close()
  })
})

describe('small things', () => {
  test('what is remembered is there on the next start, if it has the shape asked for', async () => {
    const first = await open()
    const shape = z.object({ port: z.int() })
    expect(await first.recall('embedded-s3', shape)).toBeUndefined()
    await first.remember('embedded-s3', { port: 4321 })
    await first.remember('embedded-s3', { port: 4322 })
    await first.close()
    const second = await open()
    expect(await second.recall('embedded-s3', shape)).toEqual({ port: 4322 })
    expect(await second.recall('embedded-s3', z.string())).toBeUndefined()
    await writeFile(second.path('state', 'embedded-s3.json'), '{"port":')
    expect(await second.recall('embedded-s3', shape)).toBeUndefined()
  })

  test('a recorded port is preferred while it is free', async () => {
    const server = createServer()
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    expect(await preferredPort(port)).toBe(0)
    await new Promise((done) => server.close(done))
    expect(await preferredPort(port)).toBe(port)
    expect(await preferredPort(undefined)).toBe(0)
    expect(await preferredPort(70_000)).toBe(0)
  })

  test('the spool is empty at first; a dead process’s is removed, a live one’s is not', async () => {
    const write = `import { writeFile } from 'node:fs/promises';
      const folder = await openDataFolder(dir, { exclusive: false });
      await writeFile(folder.spool + '/bytes', 'half a picture'); console.log(folder.spool)`
    const dead = await otherProcess(write)
    const live = await otherProcess(write)
    dead.child.kill('SIGKILL')
    await once(dead.child, 'exit')
    const folder = await open()
    expect(await readdir(folder.spool)).toEqual([])
    expect(await readdir(live.said)).toEqual(['bytes'])
    await expect(stat(dead.said)).rejects.toThrow('ENOENT')
    const own = folder.spool
    await folder.close()
    await expect(stat(own)).rejects.toThrow('ENOENT')
  })

  test('a folder that cannot be used stops the start with its path, the reason and the setting', async () => {
    await writeFile(join(base, 'file'), '')
    dir = join(base, 'file', 'data')
    const error = await errorOf(openDataFolder(dir))
    expect(error.code).toBe('invalid_setting')
    expect(error.message).toContain(dir)
    expect(error.message).toContain('ENOTDIR')
    expect(error.message).toContain('KEEPSAKE_DATA_DIR')
  })

  test.runIf(process.getuid)('a read-only folder says so', async () => {
    await mkdir(dir, { mode: 0o555 })
    const root = process.getuid?.() === 0
    // Nothing is read-only to root: be nobody for a moment.
    if (root) await import('node:fs/promises').then((fs) => fs.chmod(base, 0o755))
    if (root) process.seteuid?.(65_534)
    try {
      const error = await errorOf(openDataFolder(dir))
      expect(error.code).toBe('invalid_setting')
      expect(error.message).toMatch(/EACCES|EPERM|EROFS/)
    } finally {
      if (root) process.seteuid?.(0)
    }
  })
})
