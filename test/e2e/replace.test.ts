/** Media of which an owner has one at a time: a new avatar takes the old one's place. */
import { createHash } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import type { Asset } from '../../src/index.ts'
import { createChaosStore } from '../../src/stores/index.ts'
import { gif } from '../support/http.ts'
import { openTestParts, type TestKeepsakeOptions } from '../support/keepsake.ts'
import { pictureBytes } from '../support/picture.ts'

const png = pictureBytes({ id: 'the second', size: 2000 })
const collections = { avatars: { accept: ['image'], attributes: { role: {} }, replaceBy: ['role'] } }
const opened: Awaited<ReturnType<typeof openTestParts>>[] = []
afterEach(async () => {
  for (const { keepsake } of opened.splice(0)) await keepsake.close()
})

async function open(options: TestKeepsakeOptions = {}) {
  const parts = await openTestParts({ collections, ...options })
  opened.push(parts)
  const avatar = (bytes: Uint8Array, owner = '1') =>
    parts.keepsake.import('avatars', { source: { bytes }, owner, attributes: { role: 'avatar' } })
  const objects = async () => {
    const keys: string[] = []
    for await (const { key } of parts.bucket.list()) keys.push(key)
    return keys
  }
  return { ...parts, avatar, objects }
}

const stored = async ({ keepsake }: Pick<(typeof opened)[number], 'keepsake'>, owner = '1') =>
  (await keepsake.list('avatars', { owner })).assets.map(({ id, state }) => ({ id, state }))

test('a new avatar takes the place of the old one, under another key, and the old object goes', async () => {
  const parts = await open()
  const first = await parts.avatar(gif)
  const other = await parts.avatar(gif, '2')
  const second = await parts.avatar(png)
  expect(await stored(parts)).toEqual([{ id: second.id, state: 'stored' }])
  expect(await stored(parts, '2')).toEqual([{ id: other.id, state: 'stored' }])
  expect(second.key).not.toBe(first.key)
  await expect(parts.keepsake.url(first.id)).rejects.toMatchObject({ code: 'asset_not_found' })
  await expect.poll(parts.objects).toEqual([other.key, second.key].sort())
  await expect
    .poll(async () => (await parts.keepsake.audit({ asset: first.id })).entries.map(({ action }) => action))
    .toContain('asset.purged')
})

test('what fails replaces nothing', async () => {
  const put = { fails: false }
  const parts = await open({
    wrapStore: (store) =>
      createChaosStore(store, { decide: ({ verb }) => (verb === 'put' && put.fails ? 'fail' : 'ok') }),
  })
  const first = await parts.avatar(gif)
  await expect(parts.avatar(Buffer.from('<html>'))).rejects.toMatchObject({ code: 'content_type_refused' })
  put.fails = true
  await expect(parts.avatar(png)).rejects.toMatchObject({ code: 'store_unavailable' })
  const [kept] = (await parts.keepsake.list('avatars', { owner: '1', state: 'stored' })).assets
  expect(kept?.id).toBe(first.id)
  expect(Buffer.from(await (await fetch(kept?.url ?? '')).arrayBuffer())).toEqual(Buffer.from(gif))
})

test('the one that was asked for last wins over one that took longer', async () => {
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  let puts = 0
  const parts = await open({
    wrapStore: (store) =>
      createChaosStore(store, {
        decide: () => 'ok',
        before: async ({ verb }) => {
          if (verb !== 'put' || (puts += 1) > 1) return
          reached.resolve()
          await gate.promise
        },
      }),
  })
  const slow = parts.avatar(gif).catch((error: unknown) => error)
  await reached.promise
  const fast = await parts.avatar(png)
  gate.resolve()
  expect(await slow).toMatchObject({ code: 'asset_gone' })
  expect(await stored(parts)).toEqual([{ id: fast.id, state: 'stored' }])
  await expect.poll(parts.objects).toEqual([fast.key])
})

test('an upload from a browser replaces as an import does', async () => {
  const parts = await open()
  const user = parts.keepsake.as({ role: 'user', owner: '1' })
  const first = await parts.avatar(gif)
  const bytes = png
  const ticket = await user.upload('avatars', {
    contentType: 'image/png',
    size: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    attributes: { role: 'avatar' },
  })
  if (ticket.upload?.strategy !== 'put') throw new Error('Expected one PUT.')
  const { url, headers } = ticket.upload
  expect((await fetch(url, { method: 'PUT', headers, body: Uint8Array.from(bytes) })).status).toBe(200)
  expect(await stored(parts)).toContainEqual({ id: first.id, state: 'stored' })
  const second: Asset = await user.completeUpload(ticket.asset.id)
  expect(second.state).toBe('stored')
  expect(await stored(parts)).toEqual([{ id: second.id, state: 'stored' }])
})
