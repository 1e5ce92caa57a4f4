/** What a server answers beside Keepsake's own, by whether there is a configuration file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { silentLogger } from '../logger.ts'
import { recipes } from '../recipes/index.ts'
import { localInstallation } from './local.ts'

const documentSchema = z.looseObject({ paths: z.record(z.string(), z.unknown()) })
const collectionsSchema = z.object({ collections: z.array(z.looseObject({ name: z.string() })) })

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-local-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** The paths of recipes that are answered, and the collections. */
async function mounted(configuration?: string): Promise<{ paths: string[]; collections: string[] }> {
  if (configuration !== undefined) await writeFile(join(dir, 'keepsake.config.ts'), configuration)
  const key = 'ks_local_test_0123456789'
  const env = { KEEPSAKE_DATA_DIR: join(dir, 'data'), KEEPSAKE_API_KEY: key, PORT: '0' }
  const { open } = await localInstallation(env, dir)
  const installation = await open({ logger: silentLogger })
  try {
    const get = async (path: string) => {
      const headers = { authorization: `Bearer ${key}` }
      const response = await installation.app.fetch(new Request(`http://keepsake${path}`, { headers }))
      return response.json()
    }
    const document = documentSchema.parse(await get('/openapi.json'))
    const paths = recipes().flatMap(({ http }) => http?.path ?? [])
    const answered = Object.keys(document.paths)
    const { collections } = collectionsSchema.parse(await get('/v1/collections'))
    return {
      paths: paths.filter((path) => answered.some((found) => found === path || found.startsWith(`${path}/`))),
      collections: collections.map(({ name }) => name),
    }
  } finally {
    await installation.close()
  }
}

test('without a configuration file, all recipes are there to be tried', async () => {
  const { paths, collections } = await mounted()
  expect(paths).toEqual(recipes().flatMap(({ http }) => http?.path ?? []))
  expect(paths).toContain('/media')
  for (const recipe of recipes())
    expect(collections).toEqual(expect.arrayContaining(Object.keys(recipe.collections ?? {})))
})

test('with one, nothing but what it declares', async () => {
  expect(await mounted('export default {}')).toEqual({ paths: [], collections: ['generations'] })
  const door = pathToFileURL(join(import.meta.dirname, '../recipes/index.ts')).href
  const other = `import { profileMedia } from '${door}'\nexport default { extensions: [profileMedia()] }`
  await rm(dir, { recursive: true })
  // A module is loaded once for each name that it has.
  dir = await mkdtemp(join(tmpdir(), 'keepsake-local-'))
  const { paths, collections } = await mounted(other)
  expect(paths).toEqual(['/media'])
  expect(collections).toEqual(expect.arrayContaining(['avatars', 'thumbnails', 'uploads']))
})
