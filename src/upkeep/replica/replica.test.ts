import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, moveClock, type OpenedDatabase } from '../../../test/support/databases.ts'
import { type Actor, type Catalogue, createCatalogue } from '../../catalogue/index.ts'
import { systemClock } from '../../clock.ts'
import { type EmbeddedS3, startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { silentLogger } from '../../logger.ts'
import type { Collection } from '../../media/index.ts'
import {
  type ChaosCall,
  type ChaosDecision,
  type ChaosStore,
  createChaosStore,
  createS3Store,
  createStores,
  type ObjectStore,
} from '../../stores/index.ts'
import { finishDelete } from '../settle.ts'
import { auditOf, overwrite, storedAsset } from '../testing/stored-asset.ts'
import { createReplica, replicaSource } from './replica.ts'
import { type ReplicaSettings, Replicator } from './replicator.ts'

const service: Actor = { role: 'service' }
const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
const day = 86_400

let dir: string
const servers: EmbeddedS3[] = []
const opened: ObjectStore[] = []
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-replica-'))
  for (const name of ['here', 'there']) {
    servers.push(await startEmbeddedS3({ dir: join(dir, name), credentials, fsync: false }))
  }
})
afterAll(async () => {
  for (const store of opened) await store.close()
  for (const server of servers) await server.close()
  await rm(dir, { recursive: true })
})

let buckets = 0
/** A bucket of its own in one of the two servers, whose calls go as a test decides. */
async function bucketIn(which: 0 | 1, decide: (call: ChaosCall) => ChaosDecision): Promise<ChaosStore> {
  buckets += 1
  const bucket = `bucket-${buckets}`
  const server = servers[which]
  if (server === undefined) throw new Error('no server')
  const options = { bucket, region: server.region, endpoint: server.url, credentials }
  const { S3Client, CreateBucketCommand } = await import('@aws-sdk/client-s3')
  const client = new S3Client({ ...options, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
  const store = createS3Store({ ...options, name: `s3://${bucket}` })
  opened.push(store)
  return createChaosStore(store, { decide })
}

describe.each(databases)('on $name', ({ open }) => {
  let database: OpenedDatabase
  let catalogue: Catalogue
  let primary: ChaosStore
  let replica: ChaosStore
  let decideThere: (call: ChaosCall) => ChaosDecision
  let decideHere: (call: ChaosCall) => ChaosDecision
  beforeAll(async () => {
    database = await open()
    catalogue = createCatalogue(database.single)
  })
  afterAll(() => database?.close())
  beforeEach(async () => {
    await moveClock(database.single, 0)
    await database.single.service.query('delete from keepsake.assets')
    decideHere = decideThere = () => 'ok'
    primary = await bucketIn(0, (call) => decideHere(call))
    replica = await bucketIn(1, (call) => decideThere(call))
  })

  const collections: ReadonlyMap<string, Collection> = new Map()
  const stores = () => createStores({ primary, replica, clock: systemClock })
  const partsOf = (replication?: Partial<ReplicaSettings>) => ({
    ...{ catalogue, collections, stores: stores(), logger: silentLogger },
    replication: { deleteAfter: 7 * day, copiedBy: 'keepsake' as const, ...replication },
  })
  const round = (replication?: Partial<ReplicaSettings>) => new Replicator(partsOf(replication)).run()
  const status = async () => (await createReplica(partsOf()).status()) ?? expect.fail('there is no replica')
  const textOf = async (store: ObjectStore, key: string) => {
    const content = await store.get(key).catch(() => undefined)
    return content && text(content.body)
  }
  const remove = async (id: string) => {
    // As its owner: row-level security must not keep the copy's row from being marked.
    const { owner = '' } = (await catalogue.get(id, service)) ?? {}
    const record = await catalogue.beginDelete(id, 30, { role: 'user', owner })
    if (record === undefined) throw new Error('not there')
    await finishDelete({ catalogue, stores: stores() }, record, service)
  }
  const puts = () => replica.calls.filter(({ verb }) => verb === 'put').length

  it('copies what was stored, also before there was a replica, each once', async () => {
    const assets = []
    for (const content of ['one', 'two', 'three']) assets.push(await storedAsset(catalogue, primary, { content }))
    expect(await status()).toMatchObject({ copied: 0, waiting: 3, waitingBytes: 11 })
    await round()
    for (const { key } of assets) expect(await textOf(replica, key)).toBe(await textOf(primary, key))
    expect(await status()).toMatchObject({ copied: 3, copiedBytes: 11, waiting: 0, lag: 0, problem: null })
    await round()
    expect(puts()).toBe(3)
    const late = await storedAsset(catalogue, primary, { content: 'late' })
    await round()
    expect(await textOf(replica, late.key)).toBe('late')
    const head = await replica.head(late.key)
    expect(head?.metadata).toMatchObject({ asset: late.id, sha256: late.sha256 })
  })

  it('takes a copy that is there for its own: a crash between copy and record', async () => {
    const { key } = await storedAsset(catalogue, primary, { content: 'fox' })
    decideThere = ({ verb }) => (verb === 'put' ? 'applied-but-errored' : verb === 'head' ? 'fail' : 'ok')
    await round()
    expect(await status()).toMatchObject({ copied: 0, waiting: 1, failing: 1 })
    expect((await status()).problem?.code).toBe('store_unavailable')
    decideThere = () => 'ok'
    await moveClock(database.single, 120)
    await round()
    expect(await status()).toMatchObject({ copied: 1, waiting: 0, failing: 0, problem: null })
    expect(await textOf(replica, key)).toBe('fox')
  })

  it('leaves a copy to whoever has it, and takes it over from one who died', async () => {
    await storedAsset(catalogue, primary)
    const cursor = await catalogue.replicaCursor(replica.name)
    await catalogue.enlistReplicas(replica.name, cursor, 100)
    expect(await catalogue.takeReplicas(replica.name, ['primary'], 10, 60)).toHaveLength(1)
    await round()
    expect(puts()).toBe(0)
    await moveClock(database.single, 61)
    await round()
    expect(await status()).toMatchObject({ copied: 1 })
  })

  it('never takes another object for its copy, and does not overwrite it', async () => {
    const { key } = await storedAsset(catalogue, primary, { content: 'fox' })
    await overwrite(replica, key, 'cat')
    await round()
    expect(await status()).toMatchObject({ copied: 0, waiting: 1, failing: 1, problem: { code: 'object_exists' } })
    expect(await textOf(replica, key)).toBe('cat')
  })

  it('does not copy bytes that are not those of the row', async () => {
    const { key } = await storedAsset(catalogue, primary, { content: 'fox' })
    await overwrite(primary, key, 'cat')
    await round()
    expect(await status()).toMatchObject({ waiting: 1, problem: { code: 'content_mismatch' } })
    expect(await textOf(replica, key)).toBeUndefined()
  })

  it('stops hammering a replica that is down, and catches up when it is back', async () => {
    for (let count = 0; count < 12; count += 1) await storedAsset(catalogue, primary)
    decideThere = () => 'fail'
    await round()
    expect(puts()).toBeLessThan(10)
    await moveClock(database.single, 3600)
    expect(await status()).toMatchObject({ copied: 0, waiting: 12 })
    expect((await status()).lag).toBeGreaterThan(3500)
    decideThere = () => 'ok'
    await round()
    expect(await status()).toMatchObject({ copied: 12, waiting: 0, lag: 0 })
  })

  it('looks after what the bucket’s own replication brings, without copying', async () => {
    const { key, id } = await storedAsset(catalogue, primary, { content: 'fox' })
    await round({ copiedBy: 'store' })
    expect(await status()).toMatchObject({ copied: 0, waiting: 1, problem: { code: 'object_missing' } })
    const { sha256, size } = await catalogue.get(id, service).then((asset) => ({
      ...{ sha256: asset?.sha256 ?? '', size: asset?.size ?? 0 },
    }))
    const metadata = { asset: id, sha256 }
    await replica.put({ key, body: Buffer.from('fox'), size, sha256, contentType: 'image/png', metadata })
    await moveClock(database.single, 120)
    await round({ copiedBy: 'store' })
    expect(await status()).toMatchObject({ copied: 1, waiting: 0 })
    expect(puts()).toBe(1)
  })

  describe('deletes', () => {
    it('follow after their time, not before', async () => {
      const { id, key } = await storedAsset(catalogue, primary, { content: 'fox' })
      await round()
      await remove(id)
      await moveClock(database.single, 7 * day - 60)
      await round()
      expect(await textOf(replica, key)).toBe('fox')
      expect(await status()).toMatchObject({ copied: 0, leaving: 1 })
      await moveClock(database.single, 7 * day + 60)
      await round()
      expect(await textOf(replica, key)).toBeUndefined()
      expect(await status()).toMatchObject({ copied: 0, leaving: 0 })
    })

    it('of what was never copied leave nothing to be done', async () => {
      const { id, key } = await storedAsset(catalogue, primary)
      const cursor = await catalogue.replicaCursor(replica.name)
      await catalogue.enlistReplicas(replica.name, cursor, 100)
      await remove(id)
      await round()
      expect(puts()).toBe(0)
      expect(await status()).toMatchObject({ copied: 0, waiting: 0, leaving: 1 })
      await moveClock(database.single, 7 * day + 60)
      await round()
      expect(await status()).toMatchObject({ leaving: 0 })
      expect(await textOf(replica, key)).toBeUndefined()
    })

    it('beside a copy win: one that lands after the delete goes again', async () => {
      const { id, key } = await storedAsset(catalogue, primary, { content: 'fox' })
      // The copy's put is under way when the asset is deleted, and lands when all is over.
      decideThere = ({ verb }) => (verb === 'put' ? 'lands-later' : 'ok')
      await round({ deleteAfter: 0 })
      decideThere = () => 'ok'
      await remove(id)
      await round({ deleteAfter: 0 })
      await replica.landLate()
      expect(await textOf(replica, key)).toBe('fox')
      await moveClock(database.single, 2 * 3600)
      await round({ deleteAfter: 0 })
      expect(await textOf(replica, key)).toBeUndefined()
      await moveClock(database.single, 8 * 3600)
      await round({ deleteAfter: 0 })
      const { rows } = await database.single.service.query('select key from keepsake.replicas where key = $1', [key])
      expect(rows).toEqual([])
    })

    it('in the middle of a copy leave it to follow, and restore does not bring it back', async () => {
      const { id, key } = await storedAsset(catalogue, primary, { content: 'fox' })
      let deleting: Promise<void> | undefined
      const inner = replica
      replica = createChaosStore(inner, {
        decide: () => 'ok',
        before: async ({ verb }) => {
          if (verb === 'put') deleting ??= remove(id)
          await deleting
        },
      })
      await round({ deleteAfter: 0 })
      expect(await textOf(primary, key)).toBeUndefined()
      expect(await textOf(replica, key)).toBeUndefined()
      await createReplica(partsOf()).restore({ all: true })
      expect(await textOf(primary, key)).toBeUndefined()
    })

    it('that the replica refuses are tried again', async () => {
      const { id, key } = await storedAsset(catalogue, primary, { content: 'fox' })
      await round()
      await remove(id)
      decideThere = ({ verb }) => (verb === 'delete' ? 'fail' : 'ok')
      await expect(round({ deleteAfter: 0 })).rejects.toMatchObject({ code: 'store_unavailable' })
      decideThere = () => 'ok'
      await round({ deleteAfter: 0 })
      expect(await textOf(replica, key)).toBeUndefined()
    })
  })

  describe('restoring', () => {
    it('brings back what is missing and what is corrupt, and says so in the audit', async () => {
      const lost = await storedAsset(catalogue, primary, { content: 'lost' })
      const rotten = await storedAsset(catalogue, primary, { content: 'rotten' })
      const well = await storedAsset(catalogue, primary, { content: 'well' })
      await round()
      await primary.delete([lost.key])
      await overwrite(primary, rotten.key, 'ROTTEN', rotten.sha256 ?? '')
      await catalogue.markHealth(lost, 'missing', { by: 'test' }, service)
      await catalogue.markHealth(rotten, 'corrupt', { by: 'test' }, service)
      const { restore } = createReplica(partsOf())
      expect(await restore({ dryRun: true })).toMatchObject({ dryRun: true, looked: 2, restored: 2, bytes: 10 })
      expect(await textOf(primary, lost.key)).toBeUndefined()
      expect(await restore()).toMatchObject({ looked: 2, restored: 2, bytes: 10, failed: 0 })
      expect(await textOf(primary, lost.key)).toBe('lost')
      expect(await textOf(primary, rotten.key)).toBe('rotten')
      for (const { id } of [lost, rotten]) {
        expect((await catalogue.get(id, service))?.health).toBe('ok')
        expect(await auditOf(catalogue, id)).toContain('asset.recovered')
      }
      expect(await restore({ all: true })).toMatchObject({ looked: 3, restored: 0, well: 3 })
      expect(await textOf(primary, well.key)).toBe('well')
    })

    it('of a whole bucket that was lost', async () => {
      const keys = []
      for (let count = 0; count < 20; count += 1) keys.push((await storedAsset(catalogue, primary)).key)
      await round()
      await primary.delete(keys)
      const { restore } = createReplica(partsOf())
      expect(await restore()).toMatchObject({ looked: 0 })
      expect(await restore({ all: true })).toMatchObject({ looked: 20, restored: 20 })
      for (const key of keys) expect(await textOf(primary, key)).toBe(await textOf(replica, key))
    })

    it('does not believe a replica with other bytes', async () => {
      const { key, id } = await storedAsset(catalogue, primary, { content: 'fox' })
      await round()
      await primary.delete([key])
      await overwrite(replica, key, 'cat')
      const { restore } = createReplica(partsOf())
      expect(await restore({ all: true })).toMatchObject({
        ...{ restored: 0, failed: 1, failures: [{ asset: id, code: 'content_mismatch' }] },
      })
      expect(await textOf(primary, key)).toBeUndefined()
    })

    it('gives reconcile the bytes of what it finds missing, and of nothing else', async () => {
      const { key, id } = await storedAsset(catalogue, primary, { content: 'fox' })
      await round()
      const later = await storedAsset(catalogue, primary)
      const [source] = replicaSource(partsOf())
      const opened = async (asset: string) => {
        const record = await catalogue.get(asset, service)
        return record && source?.open(record)
      }
      const read = await opened(id)
      expect(read && (await text(read()))).toBe('fox')
      expect(await opened(later.id)).toBeUndefined()
      await replica.delete([key])
      expect(await opened(id)).toBeUndefined()
    })
  })
})
