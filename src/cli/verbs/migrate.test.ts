import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { runCli } from '../../../test/support/cli.ts'
import { apiKey, startTestServer, type TestServer } from '../../../test/support/http.ts'
import { pictureBytes } from '../../../test/support/picture.ts'
import type { Installation } from '../installation.ts'
import { moveSchema } from './moves.ts'

let server: TestServer
let folder: string
beforeAll(async () => {
  server = await startTestServer({
    collections: { avatars: { accept: ['image'], key: 'avatars/{owner}/{id}.{ext}' } },
  })
  folder = await mkdtemp(join(tmpdir(), 'keepsake-migrate-'))
  await mkdir(join(folder, 'avatars'))
  for (const n of [1, 2, 3]) {
    await writeFile(join(folder, 'avatars', `user_${n}_avatar.png`), pictureBytes({ id: `${n}`, size: 2000 }))
  }
  await writeFile(join(folder, 'avatars', 'notes.txt'), 'only words in here')
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

/** On the same machine: through the socket of the process that holds the data folder. */
const here = () => {
  const installation: Installation = {
    dataDir: folder,
    logLevel: 'info',
    findHolder: async () => ({ pid: 7, socket: server.socketPath ?? '' }),
    open: () => Promise.reject(new Error('The holder is there.')),
  }
  return { installation: async () => installation }
}
const remote = {
  env: {
    get KEEPSAKE_URL() {
      return server.url
    },
    KEEPSAKE_API_KEY: apiKey,
  },
}
const command = () => ['migrate', join(folder, 'avatars'), '-c', 'avatars', '--match', '{owner}_avatar.{ext}']

it('says what it would do, and does nothing', async () => {
  const { code, stdout } = await runCli([...command(), '--dry-run'], here())
  expect(code).toBe(0)
  expect(stdout).toMatch(/user_1_avatar\.png +user_1 +avatars\/user_1\/[0-9a-f-]{36}\.png/)
  expect(stdout).toContain('4 files')
  expect(stdout).toContain('3 would come in, 1 would be refused')
  expect((await runCli(['moves', 'ls'], here())).stdout).toBe('No moves yet.\n')
})

it('takes a folder in, tells what failed, goes on without it, and retires the source', async () => {
  const first = await runCli(command(), here())
  expect(first.code).toBe(5)
  expect(first.stdout).toContain('Nothing is stored yet: 3 files are copied and verified')
  const second = await runCli([...command(), '--skip-failed', '--json'], here())
  expect(second.code).toBe(0)
  const { move } = z.object({ move: moveSchema }).parse(second.json())
  expect([move.stage, move.counts.done.files, move.counts.failed.files]).toEqual(['done', 3, 1])
  const failures = await runCli(['moves', 'failures', move.id], here())
  expect(failures.stdout).toMatch(/notes\.txt +content_type_refused +The content is text\/plain/)
  const listed = await runCli(['ls', 'avatars', '--owner', 'user_2', '--json'], remote)
  expect(listed.json()).toMatchObject({ assets: [{ state: 'stored', filename: 'user_2_avatar.png', size: 2000 }] })
  expect((await runCli(['moves', 'retire', move.id], { ...here(), input: Buffer.from('') })).code).toBe(2)
  const retired = await runCli(['moves', 'retire', move.id, '--yes'], here())
  expect(retired).toMatchObject({ code: 0, stdout: 'Removed 3 files from the source.\n' })
  expect(await readdir(join(folder, 'avatars'))).toEqual(['notes.txt'])
})

it('an API key does not open folders of the server, nor its buckets', async () => {
  const { code, stderr } = await runCli(['migrate', '/etc', '-c', 'avatars'], remote)
  expect(code).toBe(4)
  expect(stderr).toContain('for a command line on the same machine')
  const dry = await runCli(['migrate', '/etc', '-c', 'avatars', '--dry-run'], remote)
  expect(dry.code).toBe(4)
  expect((await runCli(['migrate', 's3://elsewhere/', '-c', 'avatars'], remote)).code).toBe(4)
})

it('typical mistakes get a sentence', async () => {
  const nowhere = await runCli(['migrate', '/nonexistent', '-c', 'avatars'], here())
  expect([nowhere.code, nowhere.stderr]).toEqual([5, expect.stringContaining('There is no folder /nonexistent')])
  const elsewhere = await runCli([...command().slice(0, 3), 'avatar'], here())
  expect(elsewhere.stderr).toContain("There is no collection 'avatar'. Declared: avatars.")
  const pattern = await runCli(['migrate', folder, '-c', 'avatars', '--match', '{user}.png'], here())
  expect(pattern.stderr).toContain('{user} is not known. Allowed here: owner, name, ext, path.')
  const size = await runCli([...command(), '--bandwidth', 'fast'], here())
  expect([size.code, size.stderr]).toEqual([2, expect.stringContaining("--bandwidth is 'fast'")])
})
