import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KeepsakeConfig, resolveConfig } from '../config/index.ts'
import { openDataFolder } from '../data-folder/index.ts'
import { installationChecks, runInstallationCheck } from './installation-checks.ts'

type Id = keyof typeof installationChecks
const ids = Object.keys(installationChecks) as Id[]

let dataDir: string
beforeAll(async () => {
  const parent = await mkdtemp(join(tmpdir(), 'keepsake-doctor-'))
  const folder = await openDataFolder(join(parent, 'data'))
  await folder.apiKey()
  dataDir = folder.root
  await folder.close()
})
afterAll(() => rm(join(dataDir, '..'), { recursive: true }))

const strong = 'p0Zq8Vh2kT5yWc9LmXs3RbNfGdJe7UaQ'

function look(id: Id, env: Record<string, string> = {}, config: KeepsakeConfig = {}) {
  return runInstallationCheck(id, { config: resolveConfig({ env, config }), dataDir })
}

it.each(ids)('%s passes where all is well', async (id) => {
  const env = {
    KEEPSAKE_API_KEY: `ks_${strong}`,
    KEEPSAKE_JWT_SECRET: strong,
    S3_BASE_URL: 'https://cdn.example',
  }
  const collections = { avatars: { key: 'a/{id}.{ext}', access: 'public' as const } }
  expect(await look(id, env, { collections })).toEqual({ status: 'pass', seen: expect.any(String) })
})

it('passes with what an installation makes for itself', async () => {
  expect((await look('settings.api-key')).status).toBe('pass')
  expect((await look('settings.jwt')).status).toBe('not_offered')
})

describe('settings that are wrong', () => {
  it.each<[Id, Record<string, string>, RegExp]>([
    ['settings.api-key', { KEEPSAKE_API_KEY: 'hunter2' }, /^7 characters/],
    ['settings.api-key', { KEEPSAKE_API_KEY: 'x'.repeat(64) }, /^64 characters, of about 0 bits/],
    ['settings.api-key', { KEEPSAKE_API_KEY: 'abab'.repeat(16) }, /^64 characters/],
    ['settings.jwt', { KEEPSAKE_JWT_SECRET: 'secret' }, /^A secret of 6 characters/],
    [
      'settings.jwt',
      { KEEPSAKE_JWKS_URL: 'http://auth.example.com/jwks' },
      /^Keys come from auth\.example\.com over plain HTTP/,
    ],
    ['settings.exposure', { HOST: '0.0.0.0' }, /^It listens on 0\.0\.0\.0, in plain HTTP/],
    ['settings.exposure', { HOST: '::' }, /^It listens on ::/],
  ])('%s: %o', async (id, env, seen) => {
    const verdict = await look(id, env)
    expect(verdict).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    for (const secret of ['hunter2', 'abab']) expect(verdict.seen).not.toContain(secret)
  })

  it('settings.public-collections: an address over plain HTTP', async () => {
    const collections = { avatars: { key: 'a/{id}.{ext}', access: 'public' as const } }
    expect(await look('settings.public-collections', { S3_BASE_URL: 'http://cdn.example' }, { collections })).toEqual({
      status: 'fail',
      seen: 'avatars: at cdn.example, over plain HTTP.',
    })
  })

  it('keys of tokens from this machine may be plain HTTP', async () => {
    expect((await look('settings.jwt', { KEEPSAKE_JWKS_URL: 'http://localhost:9000/jwks' })).status).toBe('pass')
  })
})

describe('the data folder', () => {
  it('fails where others can read its secrets, by name', async () => {
    await chmod(dataDir, 0o755)
    await mkdir(join(dataDir, 'secrets'), { recursive: true })
    await chmod(join(dataDir, 'secrets'), 0o755)
    await writeFile(join(dataDir, 'secrets', 'leaky'), 'x', { mode: 0o644 })
    await chmod(join(dataDir, 'secrets', 'leaky'), 0o644)
    expect(await look('folder.permissions')).toEqual({ status: 'fail', seen: 'Others can get at secrets/leaky.' })
    await rm(join(dataDir, 'secrets', 'leaky'))
    expect((await look('folder.permissions')).status).toBe('pass')
    await chmod(dataDir, 0o700)
  })

  it('fails where an import would not fit', async () => {
    const collections = { films: { key: 'f/{id}.{ext}', maxSize: '4000 TB' } }
    expect(await look('folder.space', {}, { collections })).toMatchObject({
      status: 'fail',
      seen: expect.stringMatching(/are free\. One import may need /),
    })
  })

  it('that is not there is unknown', async () => {
    const config = resolveConfig({ env: {} })
    for (const id of ['folder.permissions', 'folder.space'] as const) {
      expect(await runInstallationCheck(id, { config, dataDir: '/nowhere/at/all' })).toEqual({
        status: 'unknown',
        seen: 'It could not be looked at (ENOENT).',
      })
    }
  })
})
