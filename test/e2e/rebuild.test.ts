/** The drill: the database is lost, the bucket is there, and every asset comes back as it was. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import { type Asset, createKeepsake, defineConfig, type Keepsake, type RebuildResult } from '../../src/index.ts'
import { newAssetId } from '../../src/media/index.ts'
import { createS3Store, type ObjectStore } from '../../src/stores/index.ts'
import { freshDatabase } from '../support/fresh-database.ts'
import { gif } from '../support/http.ts'
import { open } from '../support/service.ts'

const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
const bucket = 'drill'

/** A bucket that stays, and a catalogue that can be lost. */
async function openDrill(database: 'PGlite' | 'PostgreSQL') {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-drill-'))
  const s3 = await startEmbeddedS3({ dir: join(dir, 'objects'), credentials, buckets: [bucket], fsync: false })
  const store = createS3Store({ bucket, region: s3.region, endpoint: s3.url, credentials })
  const postgres = database === 'PostgreSQL' ? await freshDatabase() : undefined
  const dataDir = join(dir, 'data')
  const config = defineConfig({
    dataDir,
    collections: {
      generations: {
        key: 'ai/{wallet}/{kind}s/{id8}.{ext}',
        attributes: { wallet: { normalize: 'hex-address' }, model: {} },
      },
      avatars: { key: 'avatars/{owner}/{id}.{ext}', accept: ['image'], keep: '1y' },
    },
  })
  const env = {
    S3_BUCKET_NAME: bucket,
    S3_ENDPOINT: s3.url,
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    ...(postgres === undefined ? {} : { DATABASE_URL: postgres.url }),
  }
  let keepsake = await createKeepsake(config, { env })
  return {
    store,
    get keepsake() {
      return keepsake
    },
    /** The database is gone, with all that was in it; a new one takes its place. */
    async lose() {
      await keepsake.close()
      await rm(join(dataDir, 'catalogue'), { recursive: true, force: true })
      await postgres?.admin('drop schema keepsake cascade; drop schema if exists pgboss cascade')
      keepsake = await createKeepsake(config, { env })
    },
    async close() {
      await keepsake.close()
      await store.close()
      await s3.close()
      await postgres?.drop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

const picture = (n: number) => Buffer.concat([gif, Buffer.from(`picture ${n}`)])
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function everyAsset(keepsake: Keepsake): Promise<Asset[]> {
  const assets: Asset[] = []
  for (const name of keepsake.collections.keys()) assets.push(...(await keepsake.list(name, { limit: 1000 })).assets)
  return assets
}

/** What a rebuild promises to bring back. */
function kept(assets: readonly Asset[]) {
  return assets
    .map(
      ({
        id,
        owner,
        collection,
        sha256,
        size,
        contentType,
        kind,
        key,
        attributes,
        width,
        height,
        createdAt,
        state,
      }) => ({
        ...{ id, owner, collection, sha256, size, contentType, kind, key, attributes, width, height, state },
        createdAt: createdAt.toISOString(),
      }),
    )
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** An object as a browser leaves it: nobody hashed it on the way. */
function uploaded(store: ObjectStore, key: string, bytes: Uint8Array, metadata: Record<string, string>) {
  return store.put({
    key,
    body: bytes,
    size: bytes.byteLength,
    sha256: hashOf(bytes),
    contentType: 'image/gif',
    metadata,
  })
}

const ends = (result: RebuildResult) =>
  Object.fromEntries(Object.entries(result.verdicts).filter(([, count]) => count > 0))

describe.each(['PGlite', 'PostgreSQL'] as const)('a lost catalogue on %s', (database) => {
  it('comes back out of the bucket, every id, owner, hash, size, type and time as it was', async () => {
    const drill = await openDrill(database)
    try {
      const attributes = { wallet: '0xAbC', model: 'flux "1" – größer' }
      for (let n = 0; n < 12; n += 1) {
        const avatar = n % 3 === 0
        await drill.keepsake.import(avatar ? 'avatars' : 'generations', {
          source: { bytes: picture(n) },
          owner: ['ada', 'Zoë/42', 'grace'][n % 3] ?? '',
          ...(avatar ? {} : { attributes }),
          provenance: { prompt: 'a secret lighthouse' },
          filename: 'secret.gif',
        })
      }
      const gone = await drill.keepsake.import('avatars', { source: { bytes: picture(99) }, owner: 'ada' })
      await drill.keepsake.delete(gone.id)
      const before = kept(await everyAsset(drill.keepsake))
      expect(before).toHaveLength(12)

      await drill.lose()
      expect(await everyAsset(drill.keepsake)).toEqual([])
      const planned = await drill.keepsake.rebuild()
      expect(planned).toMatchObject({ dryRun: true, listed: 12, added: 12, undeclared: [], findings: [] })
      expect(await everyAsset(drill.keepsake)).toEqual([])

      const phases: string[] = []
      const done = await drill.keepsake.rebuild(
        { dryRun: false },
        { onProgress: (progress) => void phases.push(progress.phase) },
      )
      expect(done).toMatchObject({ dryRun: false, added: 12, bytes: planned.bytes })
      // The dry run looked already.
      expect([...new Set(phases)]).toEqual(['list', 'judge'])
      const after = await everyAsset(drill.keepsake)
      expect(kept(after)).toEqual(before)
      for (const asset of after) {
        expect(hashOf((await open((await drill.keepsake.url(asset.id)).url)).bytes)).toBe(asset.sha256)
        expect([asset.provenance, asset.filename]).toEqual([{}, null])
        const { entries } = await drill.keepsake.audit({ asset: asset.id })
        expect(entries.at(-1)).toMatchObject({ action: 'asset.rebuilt', actor: 'service' })
      }
      // A year's retention goes on from when it was stored.
      const avatar = after.find(({ collection }) => collection === 'avatars')
      expect(avatar?.expiresAt?.getTime()).toBe((avatar?.storedAt?.getTime() ?? 0) + 365 * 86_400_000)
      expect((await drill.keepsake.report()).total).toMatchObject({ objects: 12, bytes: done.bytes })

      // It lives on as any other, and a rebuild keeps its hands off it.
      await drill.keepsake.import('avatars', { source: { bytes: picture(100) }, owner: 'ada' })
      await expect(drill.keepsake.rebuild({ dryRun: false })).rejects.toMatchObject({ code: 'invalid_request' })
      expect(ends(await drill.keepsake.rebuild({ dryRun: false, intoExisting: true }))).toEqual({ present: 13 })
    } finally {
      await drill.close()
    }
  }, 240_000)
})

describe('a rebuild', () => {
  it('hashes what nobody hashed, and tells what is not clear instead of guessing', async () => {
    const drill = await openDrill('PostgreSQL')
    const { store } = drill
    try {
      const first = await drill.keepsake.import('avatars', { source: { bytes: picture(1) }, owner: 'ada' })
      const key = first.key ?? ''
      const mine = { asset: newAssetId(), owner: 'ada', collection: 'avatars', created: '2026-01-02T03:04:05.678Z' }
      const [direct, copied] = [picture(2), picture(3)]
      await uploaded(store, 'avatars/ada/direct.gif', direct, mine)
      // Somebody copied an object by hand, with what it says.
      await store.copy({ source: key, key: `copies/${key}` })
      // A later attempt, which alone can have been confirmed, and an earlier one that landed late.
      const twice = { ...mine, asset: newAssetId(), sha256: hashOf(copied) }
      await uploaded(store, 'a-early.gif', copied, twice)
      await uploaded(store, 'b-late.gif', copied, { ...twice, attempt: '2' })
      // Another collection of another time, whose row cannot be used until it is declared.
      await uploaded(store, 'old.gif', copied, { ...twice, asset: newAssetId(), collection: 'pictures' })
      // What Keepsake does not know, and what only looks like its own.
      await store.put({
        key: 'readme.txt',
        body: direct,
        size: direct.length,
        sha256: hashOf(direct),
        contentType: 'text/plain',
      })
      await uploaded(store, 'odd.gif', direct, { asset: newAssetId(), owner: '', collection: 'avatars' })
      // Never assets, whatever they say.
      for (const prefix of ['quarantine', 'temp', '.keepsake']) await uploaded(store, `${prefix}/x.gif`, direct, mine)

      await drill.lose()
      const careful = await drill.keepsake.rebuild({ hash: false })
      expect(ends(careful)).toEqual({ add: 3, unhashed: 1, duplicate: 2, foreign: 1, invalid: 1 })
      const done = await drill.keepsake.rebuild({ dryRun: false })
      expect(ends(done)).toEqual({ add: 4, duplicate: 2, foreign: 1, invalid: 1 })
      expect(done).toMatchObject({ added: 4, skipped: 4, undeclared: ['pictures'] })
      expect(done.findings).toEqual(
        expect.arrayContaining([
          { verdict: 'duplicate', key: `copies/${key}`, asset: first.id, otherKey: key },
          { verdict: 'duplicate', key: 'a-early.gif', asset: twice.asset, otherKey: 'b-late.gif' },
          { verdict: 'foreign', key: 'readme.txt', asset: null, otherKey: null },
        ]),
      )
      expect(await drill.keepsake.get(mine.asset)).toMatchObject({
        sha256: hashOf(direct),
        size: direct.length,
        createdAt: new Date(mine.created),
      })
      expect((await drill.keepsake.get(first.id)).key).toBe(key)
      // Nothing in the bucket was touched.
      expect(await store.head('readme.txt')).toBeDefined()
      expect(await store.head('a-early.gif')).toBeDefined()
    } finally {
      await drill.close()
    }
  }, 240_000)

  it('takes over the id that the bucket carries, and refuses the bucket of another one', async () => {
    const drill = await openDrill('PostgreSQL')
    const catalogue = '0198c0de-7a11-4b52-8c3d-0123456789ab'
    const marker = Buffer.from(JSON.stringify({ keepsake: 1, catalogue, more: 'later' }))
    const put = {
      createOnly: false,
      key: '.keepsake/catalogue.json',
      body: marker,
      size: marker.length,
      sha256: hashOf(marker),
    }
    try {
      const asset = await drill.keepsake.import('avatars', { source: { bytes: picture(1) }, owner: 'ada' })
      await drill.store.put({ ...put, contentType: 'application/json' })
      await expect(drill.keepsake.rebuild({ intoExisting: true })).rejects.toThrow(/belongs to the catalogue 0198c0de/)
      await drill.lose()
      expect(await drill.keepsake.rebuild({ dryRun: false })).toMatchObject({ added: 1, catalogueId: catalogue })
      await drill.keepsake.url(asset.id)
      // Its own by now.
      expect(ends(await drill.keepsake.rebuild({ intoExisting: true }))).toEqual({ present: 1 })
    } finally {
      await drill.close()
    }
  }, 240_000)
})
