/** The key that the client of a plain upload writes to: whatever becomes of the upload, that key is watched afterwards. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { databases, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import { type Actor, type Catalogue, createCatalogue } from './index.ts'

const service: Actor = { role: 'service' }
const stored = { size: 3, sha256: 'a'.repeat(64), width: null, height: null, duration: null, keep: null }
const keyRow = z.object({ key: z.string(), store: z.string() })

describe.each(databases)('the inbox of a plain upload on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let count = 0
  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.database)
  })
  afterAll(() => opened?.close())

  async function begin() {
    count += 1
    const [key, inbox] = [`inbox-test/${count}.webm`, `temp/uploads/${count}.webm`]
    const terms = { size: 10, atMost: true, sameType: true, inbox, sha256: null, partSize: null, uploadId: null }
    const upload = { key, store: 'primary', kind: 'audio', contentType: 'audio/webm', terms } as const
    const { asset } = await catalogue.reserve(reservation({ sourceUrl: null, upload }), service)
    return { asset, key, inbox }
  }

  async function watched(id: string) {
    const text = 'select key, store from keepsake.retired_keys where asset = $1 order by key, store'
    const { rows } = await opened.database.service.query(text, [id])
    return rows.map((row) => Object.values(keyRow.parse(row)).join(' '))
  }

  it('is watched once the upload is stored, and the attributes are those of the end', async () => {
    const { asset, inbox } = await begin()
    const content = { ...stored, inbox, attributes: { mood: 'calm' } }
    const kept = await catalogue.confirm(asset.id, asset.attempt, content, service)
    expect(kept).toMatchObject({ state: 'stored', attributes: { mood: 'calm' }, upload: null })
    expect(await watched(asset.id)).toEqual([`${inbox} primary`])
  })

  it('is watched beside the key once the upload has failed', async () => {
    const { asset, key, inbox } = await begin()
    await catalogue.fail(asset.id, asset.attempt, { code: 'upload_incomplete', message: 'x' }, service)
    expect(await watched(asset.id)).toEqual([`${key} primary`, `${inbox} primary`])
  })

  it('is watched beside the key once the upload was aborted', async () => {
    const { asset, key, inbox } = await begin()
    const deleting = await catalogue.beginAbort(asset.id, 30, service)
    expect(await catalogue.purge(asset.id, deleting?.attempt ?? 0, service)).toBe(true)
    expect(await watched(asset.id)).toEqual([`${key} primary`, `${inbox} primary`])
  })

  it('is exchanged, and the old one watched, where the upload moves to another store', async () => {
    const { asset, key, inbox } = await begin()
    const to = {
      key: `${key}-2`,
      store: 'local:00000000-0000-4000-8000-000000000001',
      inbox: `${inbox}-2`,
      lease: 60,
    } as const
    const moved = await catalogue.moveUpload(asset.id, asset.attempt, to, service)
    expect(moved).toMatchObject({ key: to.key, store: to.store, attempt: 2, upload: { inbox: to.inbox, atMost: true } })
    expect(await watched(asset.id)).toEqual([`${key} primary`, `${inbox} primary`])
  })

  it('is none of a row that an older Keepsake wrote', async () => {
    const { asset } = await begin()
    const old = JSON.stringify({ size: 10, sha256: null, partSize: null, uploadId: null })
    await opened.database.service.query('update keepsake.assets set upload = $2::jsonb where id = $1', [asset.id, old])
    const read = await catalogue.get(asset.id, service)
    expect(read?.upload).toMatchObject({ size: 10, atMost: false, sameType: false, inbox: null })
  })
})
