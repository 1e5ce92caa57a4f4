/** Media of which an owner has one at a time: a new avatar takes the old one's place. */
import { createHash, randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createChaosStore } from '../../src/stores/index.ts'
import { gif } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'
import { pictureBytes } from '../support/picture.ts'

const png = pictureBytes({ id: 'the second', size: 2000 })
const put: { fails: boolean; before?: () => Promise<void> } = { fails: false }
let parts: Awaited<ReturnType<typeof openTestParts>>
let owner: string

beforeAll(async () => {
  parts = await openTestParts({
    collections: {
      avatars: { key: 'avatars/{owner}/{id}.{ext}', accept: ['image'], attributes: { role: {} }, replaceBy: ['role'] },
    },
    wrapStore: (store) =>
      createChaosStore(store, {
        decide: ({ verb }) => (verb === 'put' && put.fails ? 'fail' : 'ok'),
        before: async ({ verb }) => (verb === 'put' ? put.before?.() : undefined),
      }),
  })
})
afterAll(() => parts?.keepsake.close())
beforeEach(() => {
  owner = randomUUID()
})
afterEach(() => {
  put.fails = false
  delete put.before
})

const avatar = (bytes: Uint8Array, by = owner) =>
  parts.keepsake.import('avatars', { source: { bytes }, owner: by, attributes: { role: 'avatar' } })

async function standing(): Promise<string[]> {
  return (await parts.keepsake.list('avatars', { owner, state: 'stored' })).assets.map(({ id }) => id)
}

async function objects(by = owner): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of parts.bucket.list({ prefix: `avatars/${by}/` })) keys.push(key)
  return keys
}

test('a new avatar takes the place of the old one, under another key, and the old object goes', async () => {
  const other = randomUUID()
  const first = await avatar(gif)
  const stranger = await avatar(gif, other)
  const second = await avatar(png)
  expect(await standing()).toEqual([second.id])
  expect(second.key).not.toBe(first.key)
  await expect(parts.keepsake.url(first.id)).rejects.toMatchObject({ code: 'asset_not_found' })
  await expect.poll(objects).toEqual([second.key])
  expect(await objects(other)).toEqual([stranger.key])
  await expect
    .poll(async () => (await parts.keepsake.audit({ asset: first.id })).entries.map(({ action }) => action))
    .toContain('asset.purged')
})

test('what fails replaces nothing', async () => {
  const first = await avatar(gif)
  await expect(avatar(Buffer.from('<html>'))).rejects.toMatchObject({ code: 'content_type_refused' })
  put.fails = true
  await expect(avatar(png)).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(await standing()).toEqual([first.id])
  const { url } = await parts.keepsake.url(first.id)
  expect(Buffer.from(await (await fetch(url)).arrayBuffer())).toEqual(Buffer.from(gif))
})

test('the one that was asked for last wins over one that took longer', async () => {
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  put.before = async () => {
    delete put.before
    reached.resolve()
    await gate.promise
  }
  const slow = avatar(gif).catch((error: unknown) => error)
  await reached.promise
  const fast = await avatar(png)
  gate.resolve()
  expect(await slow).toMatchObject({ code: 'asset_gone' })
  expect(await standing()).toEqual([fast.id])
  await expect.poll(objects).toEqual([fast.key])
})

test('an upload from a browser replaces as an import does', async () => {
  const user = parts.keepsake.as({ role: 'user', owner })
  const first = await avatar(gif)
  const sha256 = createHash('sha256').update(png).digest('hex')
  const request = { contentType: 'image/png', size: png.byteLength, sha256, attributes: { role: 'avatar' } }
  const ticket = await user.upload('avatars', request)
  if (ticket.upload?.strategy !== 'put') throw new Error('Expected one PUT.')
  const { url, headers } = ticket.upload
  expect((await fetch(url, { method: 'PUT', headers, body: Uint8Array.from(png) })).status).toBe(200)
  expect(await standing()).toEqual([first.id])
  const second = await user.completeUpload(ticket.asset.id)
  expect(second.state).toBe('stored')
  expect(await standing()).toEqual([second.id])
})

test('an upload that was begun before another avatar was kept, and ends after it, is overtaken', async () => {
  const user = parts.keepsake.as({ role: 'user', owner })
  const request = { contentType: 'image/png', size: png.byteLength, attributes: { role: 'avatar' } }
  const ticket = await user.upload('avatars', request)
  if (ticket.upload?.strategy !== 'put') throw new Error('Expected one PUT.')
  const { url, headers } = ticket.upload
  expect((await fetch(url, { method: 'PUT', headers, body: Uint8Array.from(png) })).status).toBe(200)
  const later = await avatar(gif)
  await expect(user.completeUpload(ticket.asset.id)).rejects.toMatchObject({ code: 'asset_gone' })
  expect(await standing()).toEqual([later.id])
  await expect.poll(objects).toEqual([later.key])
})

test('the audit tells what became of it', async () => {
  const first = await avatar(gif)
  const second = await avatar(png)
  const { entries } = await parts.keepsake.audit({ asset: first.id })
  const deleting = entries.find(({ action }) => action === 'asset.deleting')
  expect(deleting?.detail).toMatchObject({ reason: 'replaced', by: second.id })
})
