/** What README.md and docs/http.md show, done as it stands there. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { createKeepsake, defineConfig } from '../../src/index.ts'
import { newAssetId } from '../../src/media/index.ts'
import { apiKey } from '../support/http.ts'
import { open, pglite } from '../support/service.ts'
import { startSourceServer } from '../support/source-server.ts'

const root = resolve(import.meta.dirname, '../..')

const problem = z.looseObject({ code: z.string(), requestId: z.string() })

it('README.md: the first screen keeps a picture whose link dies', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-e2e-'))
  const source = await startSourceServer()
  const config = defineConfig({
    dataDir: join(folder, 'data'),
    imports: { allowHosts: [source.host] },
    collections: {
      avatars: { accept: ['image'], maxSize: '5 MB', key: 'avatars/{owner}/{id}.{ext}' },
    },
  })
  const keepsake = await createKeepsake(config, { env: {} })
  try {
    const asset = await keepsake.import('generations', {
      source: { url: source.url('/dies-after/1') },
      owner: 'user_42',
      attributes: { wallet: '0xABCD1234567890123456789012345678901234ABCD', agent: 'memes-001', model: 'dall-e-3' },
    })
    expect(asset.key).toMatch(
      /^ai-generated\/abcd1234567890123456789012345678901234abcd\/memes-001\/images\/dall-e-3\//,
    )
    const { url, expiresAt } = await keepsake.url(asset.id)
    expect((await open(source.url('/dies-after/1'))).status).toBe(403)
    expect((await open(url)).bytes).toEqual(source.png)
    expect(expiresAt.getTime() - Date.now()).toBeLessThanOrEqual(3_600_000)

    const avatar = await keepsake.import('avatars', { source: { bytes: source.png }, owner: 'user_42' })
    expect(avatar.key).toBe(`avatars/user_42/${avatar.id}.png`)
  } finally {
    await keepsake.close()
    await source.close()
    await rm(folder, { recursive: true, force: true })
  }
}, 180_000)

it('docs/http.md: a problem looks as shown', async () => {
  const shown = /```json\n([\s\S]*?)```/.exec(await readFile(join(root, 'docs/http.md'), 'utf8'))?.[1]
  const { requestId: _shown, ...expected } = problem.parse(JSON.parse(shown ?? ''))
  const { as, stop } = await pglite.start()
  try {
    const answer = await as(apiKey).call(`/v1/assets/${newAssetId()}?color=red`)
    const { requestId: _actual, ...actual } = problem.parse(await answer.json())
    expect(actual).toEqual(expected)
  } finally {
    await stop()
  }
})
