import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { databases, moveClock, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import { openTestParts } from '../../test/support/keepsake.ts'
import { pictureBytes } from '../../test/support/picture.ts'
import { type Actor, type Catalogue, createCatalogue } from '../catalogue/index.ts'
import { systemClock } from '../clock.ts'
import { type EmbeddedS3, startEmbeddedS3 } from '../embedded-s3/index.ts'
import { silentLogger } from '../logger.ts'
import { newAssetId } from '../media/index.ts'
import { createChaosStore, createS3Store, type ObjectStore } from '../stores/index.ts'
import { UploadSweep } from './index.ts'

const system: Actor = { role: 'system' }
const never = new AbortController().signal
const day = 86_400

describe.each(databases)('multipart uploads that were left behind, on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue
  let dir: string
  let s3: EmbeddedS3
  let store: ObjectStore

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.single)
    dir = await mkdtemp(join(tmpdir(), 'keepsake-uploads-'))
    const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
    s3 = await startEmbeddedS3({ dir, credentials, buckets: ['uploads'], fsync: false })
    store = createS3Store({ bucket: 'uploads', region: s3.region, endpoint: s3.url, credentials })
  })
  afterAll(async () => {
    await moveClock(opened.single, 0)
    await store?.close()
    await s3?.close()
    await opened?.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** A row with a key, and an upload that was begun for it. */
  async function begin(lease = 3600) {
    const { asset } = await catalogue.reserve(reservation({ lease }), system)
    const key = `owner/${newAssetId()}.mp4`
    const content = { key, store: 'primary', kind: 'video', contentType: 'video/mp4', lease, quota: null } as const
    await catalogue.assignKey(asset.id, asset.attempt, content)
    await store.createMultipart({ key, contentType: 'video/mp4' })
    return { id: asset.id, attempt: asset.attempt, key }
  }

  const facts = { size: 1, sha256: '0'.repeat(64), width: null, height: null, duration: null, keep: null }
  const openAt = (key: string) => countUploads(store, key)
  const sweepOnce = () => new UploadSweep({ catalogue, store, clock: systemClock, logger: silentLogger }).run(never)

  it('are aborted at once where the key left its row, by a retry, a failure or a delete', async () => {
    const retried = await begin(0)
    await catalogue.claim(retried.id, retried.attempt, 3600, system)
    const failed = await begin()
    await catalogue.fail(failed.id, failed.attempt, { code: 'source_gone', message: 'Gone.' }, system)
    const deleted = await begin()
    const deleting = await catalogue.beginDelete(deleted.id, 60, system)
    await catalogue.purge(deleted.id, deleting?.attempt ?? 0, system)

    await sweepOnce()
    for (const { key } of [retried, failed, deleted]) expect(await openAt(key)).toBe(0)
  })

  it('are aborted after a day where the asset is stored, or is being deleted', async () => {
    const stored = await begin()
    await catalogue.confirm(stored.id, stored.attempt, facts, system)
    const deleting = await begin()
    await catalogue.beginDelete(deleting.id, 10 * day, system)

    await sweepOnce()
    for (const { key } of [stored, deleting]) expect(await openAt(key)).toBe(1)
    await moveClock(opened.single, day + 60)
    await sweepOnce()
    for (const { key } of [stored, deleting]) expect(await openAt(key)).toBe(0)
    await moveClock(opened.single, 0)
  })

  it('are left alone while the asset is pending, however old they are, and where the catalogue does not know the key', async () => {
    const pending = await begin(365 * day)
    const foreign = `somebody-else/${newAssetId()}.mp4`
    await store.createMultipart({ key: foreign, contentType: 'video/mp4' })
    await moveClock(opened.single, 100 * day)
    await sweepOnce()
    await moveClock(opened.single, 0)
    expect(await openAt(pending.key)).toBe(1)
    expect(await openAt(foreign)).toBe(1)
  })

  it('are looked for once an hour, and again at once after a start', async () => {
    let lists = 0
    const counted = createChaosStore(store, {
      decide: ({ verb }) => {
        if (verb === 'listMultipart') lists += 1
        return 'ok'
      },
    })
    let now = Date.now()
    const parts = {
      catalogue,
      store: counted,
      clock: { ...systemClock, now: () => new Date(now) },
      logger: silentLogger,
    }
    const sweep = new UploadSweep(parts)
    const minutesLater = async (minutes: number) => {
      now += minutes * 60_000
      await sweep.run(never)
      return lists
    }
    expect(await minutesLater(0)).toBe(1)
    expect(await minutesLater(1)).toBe(1)
    expect(await minutesLater(58)).toBe(1)
    expect(await minutesLater(1)).toBe(2)
    // A clock that was put back by a day does not put the sweep off by a day.
    expect(await minutesLater(-24 * 60)).toBe(3)
    await new UploadSweep(parts).run(never)
    expect(lists).toBe(4)
  })

  it('do no harm to the rest of the sweep where the bucket does not let us look, and are looked for later', async () => {
    const failed = await begin()
    await catalogue.fail(failed.id, failed.attempt, { code: 'source_gone', message: 'Gone.' }, system)
    let isDenied = true
    const warnings: string[] = []
    const denying = createChaosStore(store, {
      decide: ({ verb }) => (verb === 'listMultipart' && isDenied ? 'fail' : 'ok'),
    })
    let now = Date.now()
    const sweep = new UploadSweep({
      catalogue,
      store: denying,
      clock: { ...systemClock, now: () => new Date(now) },
      logger: { ...silentLogger, warn: (_, message) => warnings.push(message) },
    })
    await sweep.run(never)
    expect(warnings).toEqual(['abandoned multipart uploads could not be looked for'])
    expect(await openAt(failed.key)).toBe(1)
    isDenied = false
    now += 3_600_000
    await sweep.run(never)
    expect(await openAt(failed.key)).toBe(0)
  })
})

it('what a killed process left behind is aborted by the regular sweep', async () => {
  let now = Date.now()
  const clock = { ...systemClock, now: () => new Date(now) }
  const { keepsake, bucket } = await openTestParts({ clock, sweepEverySeconds: 0.05 })
  try {
    const png = `data:image/png;base64,${pictureBytes({ id: 'left', size: 1000 }).toString('base64')}`
    const { id, key } = await keepsake.import('generations', { source: { dataUri: png } })
    await bucket.createMultipart({ key: key ?? '', contentType: 'image/png' })
    await keepsake.delete(id)
    expect(await countUploads(bucket)).toBe(1)
    now += 3_600_000
    await vi.waitFor(async () => expect(await countUploads(bucket)).toBe(0), 20_000)
  } finally {
    await keepsake.close()
  }
})

async function countUploads(store: ObjectStore, prefix = ''): Promise<number> {
  let count = 0
  for await (const _ of store.listMultipart({ prefix })) count += 1
  return count
}
