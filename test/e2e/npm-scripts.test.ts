/** `npm start` and `npm run keepsake` in a clone, with the `.env` that the documents of the recipes tell people to write. */
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { command } from '../support/command.ts'

const root = join(import.meta.dirname, '../..')
let clone: string
beforeAll(async () => {
  clone = await mkdtemp(join(tmpdir(), 'keepsake-clone-'))
  await copyFile(join(root, 'package.json'), join(clone, 'package.json'))
  for (const folder of ['src', 'node_modules']) await symlink(join(root, folder), join(clone, folder))
})
afterAll(() => rm(clone, { recursive: true, force: true }))

function npm(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return command('npm', args, { HOME: clone, ...env }, { cwd: clone })
}

it('work without a .env', async () => {
  const ended = await npm(['run', '-s', 'keepsake', '--', '--version'])
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
})

it.each([
  ['npm start', ['start', '-s']],
  ['npm run keepsake', ['run', '-s', 'keepsake', '--', 'ls']],
])('%s reads the .env of the folder; what the environment says goes before it', async (_, args) => {
  await writeFile(join(clone, '.env'), '# S3 Settings\nS3_PRESIGNED_URL_EXPIRATION=99999\n')
  const said = /S3_PRESIGNED_URL_EXPIRATION is '?(\d+)/
  const byFile = await npm(args)
  expect([byFile.code, said.exec(byFile.stderr)?.[1]]).toEqual([expect.toSatisfy((code) => code !== 0), '99999'])
  const byEnvironment = await npm(args, { S3_PRESIGNED_URL_EXPIRATION: '88888' })
  expect(said.exec(byEnvironment.stderr)?.[1]).toBe('88888')
})
