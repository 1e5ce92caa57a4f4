import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, type OpenedDatabase } from '../../../test/support/databases.ts'
import { KeepsakeError, newAssetId } from '../../media/index.ts'
import { markerKey } from './marker.ts'
import { createReconcile } from './reconcile.ts'
import { collect, Fixture, type FixtureOptions, failingAt, findings, found, toStream } from './testing/fixture.ts'

const day = 86_400

describe.each(databases)('reconcile on $name', ({ open }) => {
  let opened: OpenedDatabase
  let fixture: Fixture
  const fresh = async (options?: FixtureOptions) => {
    await fixture?.close()
    fixture = await Fixture.open(opened.single, options)
    return fixture
  }
  beforeAll(async () => {
    opened = await open()
  })
  afterAll(async () => {
    await fixture?.close()
    await opened.close()
  })
  beforeEach(async () => {
    await fresh()
  })

  const audit = async (action: string, asset?: string) => {
    const filter = { limit: 1000, ...(asset === undefined ? {} : { asset }) }
    const { entries } = await fixture.catalogue.listAudit(filter, { role: 'service' })
    return entries.filter((entry) => entry.action === action)
  }
  const health = async (id: string) => (await fixture.catalogue.get(id, { role: 'system' }))?.health

  describe('a scan', () => {
    it('finds exactly what is wrong, and changes nothing', async () => {
      for (const n of [1, 2, 3, 4]) await fixture.keep(`media/a/${n}.gif`)
      await fixture.object('media/a/2b.gif')
      const lost = await fixture.row('media/a/3b.gif')
      await fixture.row('media/b/size.gif', 'longer than it is')
      await fixture.object('media/b/size.gif', 'short')
      await fixture.stranger('logo.png')
      await fixture.pass(1)
      const before = await fixture.keys()
      const lines = await fixture.scan()
      expect(found(lines)).toEqual([
        'unknown logo.png',
        'orphan media/a/2b.gif',
        'missing media/a/3b.gif',
        'mismatch media/b/size.gif',
      ])
      expect(JSON.parse(lines[0] ?? '')).toMatchObject({ objects: 7, rows: 6, lines: 4, prefix: '', hashes: false })
      expect(await fixture.keys()).toEqual(before)
      expect(await health(lost)).toBe('ok')
    })

    it('leaves alone what is on its way in, on its way out, and what the sweep sees to', async () => {
      const gone = await fixture.keep('media/a/gone.gif')
      const deleting = await fixture.keep('media/a/deleting.gif')
      await fixture.pass(1)
      const row = await fixture.catalogue.beginDelete(gone, 30, { role: 'service' })
      // The row is purged, and a late write brings the object back: its key is retired.
      await fixture.catalogue.purge(gone, row?.attempt ?? 0, { role: 'service' })
      await fixture.catalogue.beginDelete(deleting, 30, { role: 'service' })
      await fixture.store.delete(['media/a/deleting.gif'])
      expect(found(await fixture.scan())).toEqual([])
    })

    it('says nothing of what was stored after the listing began', async () => {
      let listed = false
      await fresh({
        wrapStore: (store) =>
          new Proxy(store, {
            get(target, name) {
              if (name !== 'list') return Reflect.get(target, name, target)
              return async function* (...args: Parameters<typeof store.list>) {
                const objects = await collect(target.list(...args))
                if (!listed) {
                  listed = true
                  await fixture.pass(1)
                  await fixture.keep('media/a/new.gif')
                  await fixture.row('media/a/newer.gif')
                }
                yield* objects
              }
            },
          }),
      })
      await fixture.keep('media/a/old.gif')
      expect(found(await fixture.scan({ shards: 1 }))).toEqual([])
      // The second one truly lacks its object, and the next scan says so.
      await fixture.pass(1)
      expect(found(await fixture.scan())).toEqual(['missing media/a/newer.gif'])
    })

    it('compares the hash that an object states, when asked', async () => {
      const id = await fixture.row('media/a/1.gif', 'aaaa')
      await fixture.object('media/a/1.gif', 'bbbb', id)
      await fixture.pass(1)
      expect(found(await fixture.scan())).toEqual([])
      expect(findings(await fixture.scan({ hashes: true }))).toMatchObject([{ kind: 'mismatch', field: 'sha256' }])
    })

    it('keeps to its prefix, which ends with a slash', async () => {
      await fixture.object('alice/x.gif')
      await fixture.object('alice2/x.gif')
      await fixture.keep('alice/kept.gif')
      await fixture.pass(1)
      expect(found(await fixture.scan({ prefix: 'alice/' }))).toEqual(['orphan alice/x.gif'])
      await expect(fixture.scan({ prefix: 'alice' })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining("Write 'alice/'"),
      })
    })

    it('gives the same whatever its ranges and shards are', async () => {
      for (let n = 0; n < 60; n += 1) {
        const key = `media/${n % 7}/${n}.gif`
        if (n % 5 === 0) await fixture.object(key)
        else if (n % 6 === 0) await fixture.row(key)
        else await fixture.keep(key)
      }
      await fixture.pass(1)
      const whole = await fixture.scan({ shards: 1 })
      for (const [shards, rangeRows] of [
        [1, 1],
        [4, 3],
        [8, 10],
      ]) {
        const lines = await fixture.scan({ shards, rangeRows })
        expect(found(lines)).toEqual(found(whole))
        expect(JSON.parse(lines[0] ?? '')).toMatchObject({ objects: 52, rows: 48 })
      }
    })

    it('goes on where it was cut off, with the same manifest', async () => {
      let left = Number.POSITIVE_INFINITY
      await fresh({
        wrapStore: (store) =>
          new Proxy(store, {
            get(target, name) {
              if (name !== 'list') return Reflect.get(target, name, target)
              return async function* (...args: Parameters<typeof store.list>) {
                for await (const object of target.list(...args)) {
                  if (left-- <= 0)
                    throw new KeepsakeError('store_unavailable', 'The store failed (a fault of the test).')
                  yield object
                }
              }
            },
          }),
      })
      for (let n = 100; n < 150; n += 1) await (n % 10 === 0 ? fixture.object(`m/${n}`) : fixture.keep(`m/${n}`))
      await fixture.pass(1)
      const whole = await fixture.scan()
      let cuts = 0
      left = 14
      let lines = await fixture.scan({ rangeRows: 5, shards: 2 }).catch(() => undefined)
      while (lines === undefined) {
        cuts += 1
        left = 24
        lines = await fixture.scan({ resume: true, rangeRows: 5, shards: 2 }).catch((error: unknown) => {
          if (!KeepsakeError.is(error, 'store_unavailable')) throw error
          return undefined
        })
        expect(cuts).toBeLessThan(40)
      }
      expect(cuts).toBeGreaterThan(1)
      expect(found(lines)).toEqual(found(whole))
      expect(JSON.parse(lines[0] ?? '')).toMatchObject({ objects: 50, rows: 45 })
      await expect(fixture.scan({ resume: true })).rejects.toMatchObject({ code: 'invalid_request' })
    })

    it('is not forgotten while it is under way, however many others end', async () => {
      await fixture.keep('media/a/1.gif')
      const request = { bucket: fixture.store.name, prefix: 'media/', source: 'list', hashes: false } as const
      const { id } = await fixture.catalogue.beginScan(request)
      await fixture.pass(1)
      for (let n = 0; n < 6; n += 1) await fixture.scan({ prefix: 'media/a/' })
      expect((await fixture.reconcile.scan({ prefix: 'media/', resume: true })).scan.id).toBe(id)
    })

    it('stops where a side is out of order', async () => {
      await fresh({
        wrapStore: (store) =>
          new Proxy(store, {
            get(target, name) {
              if (name !== 'list') return Reflect.get(target, name, target)
              return async function* (...args: Parameters<typeof store.list>) {
                yield* (await collect(target.list(...args))).reverse()
              }
            },
          }),
      })
      await fixture.keep('a')
      await fixture.keep('b')
      await expect(fixture.scan()).rejects.toThrow(/out of the byte order/)
    })

    it('takes any key that a store takes, and its manifest can be acted upon', async () => {
      await fixture.keep('media/a/1.gif')
      const odd = [
        '',
        'originals/',
        'a//b',
        './x',
        'a\nb',
        'a\r\nb',
        'a\u2028b',
        'a\u2029b',
        'a\u0001b',
        'nul\0',
        '\0nul',
        'nul\0l',
      ]
      for (const key of odd.slice(1)) await fixture.stranger(key, 'x')
      // By its metadata ours, by its key nobody's.
      await fixture.object('media/a/nul\0.gif')
      for (const key of ['media/a/line\u2028separator.gif', 'media/a/line\nfeed.gif']) await fixture.object(key)
      await fixture.store.createMultipart({ key: 'nul\0/upload', contentType: 'video/mp4' })
      const lines = await fixture.scanTwice()
      const kinds = findings(lines).map(({ kind }) => kind)
      expect(kinds.filter((kind) => kind === 'unknown')).toHaveLength(odd.length)
      expect(kinds.filter((kind) => kind === 'unknown-upload')).toHaveLength(1)
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 2, skipped: 0, failed: 0 })
      for (const key of odd.slice(1)) expect(await fixture.read(key)).toBe('x')
      expect(await fixture.reconcile.restore('all')).toEqual({ restored: 2, failed: 0 })
    })

    it('tells uploads of ours that nobody goes on with', async () => {
      const settings = { contentType: 'video/mp4' }
      const ours = `media/ada/${newAssetId()}.mp4`
      const upload = await fixture.store.createMultipart({ key: ours, ...settings })
      await fixture.store.createMultipart({ key: 'somebody/else.bin', ...settings })
      await fixture.keep('media/a/1.gif')
      expect(found(await fixture.scan())).toEqual([])
      await fixture.pass(2 * day)
      await fixture.store.createMultipart({ key: ours, ...settings })
      const lines = await fixture.scan()
      expect(found(lines)).toEqual([`multipart ${ours}`, 'unknown-upload somebody/else.bin'])
      expect((await fixture.apply(lines)).outcomes.aborted).toBe(1)
      const left = await collect(fixture.store.listMultipart())
      expect(left.map(({ key }) => key)).toEqual([ours, 'somebody/else.bin'])
      expect(left.some(({ uploadId }) => uploadId === upload.uploadId)).toBe(false)
    })
  })

  describe('apply', () => {
    it('moves an orphan to quarantine after two sightings a day apart, and restore brings it back', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/a/orphan.gif', 'nobody’s')
      const first = await fixture.scan()
      expect((await fixture.apply(first)).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })
      await fixture.pass(day - 60)
      expect((await fixture.apply(await fixture.scan())).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })
      await fixture.pass(61)
      // A third sighting makes a day; the manifest of the first scan would do as well.
      const lines = await fixture.scan()
      expect(JSON.parse(lines[0] ?? '').findings.orphan).toMatchObject({ count: 1, ripe: 1 })
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 1, skipped: 0 })
      expect(await fixture.keys()).toEqual(['media/a/kept.gif', 'quarantine/media/a/orphan.gif'])
      expect((await audit('object.quarantined'))[0]?.detail).toMatchObject({ key: 'media/a/orphan.gif' })
      // What lies in quarantine is no orphan.
      expect(found(await fixture.scan())).toEqual([])
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })

      expect(await fixture.reconcile.restore('all')).toEqual({ restored: 1, failed: 0 })
      expect(await fixture.keys()).toEqual(['media/a/kept.gif', 'media/a/orphan.gif'])
      expect(await fixture.read('media/a/orphan.gif')).toBe('nobody’s')
      // It is as new: neither the old manifest nor one more sighting moves it.
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })
      expect((await fixture.apply(await fixture.scan())).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })
    })

    it('moves nothing younger than it is told, by the clock of the store', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/a/orphan.gif')
      await fixture.scan()
      await fixture.pass(10)
      const lines = await fixture.scan()
      expect((await fixture.apply(lines, { apart: 5 })).outcomes).toMatchObject({ skipped: 1 })
      expect((await fixture.apply(lines, { apart: 5, minAge: 60 })).outcomes).toMatchObject({ skipped: 1 })
      expect((await fixture.apply(lines, { apart: 5, minAge: 5 })).outcomes).toMatchObject({ quarantined: 1 })
    })

    it('starts to count anew where another object lies under the key', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/a/orphan.gif', 'one')
      await fixture.scan()
      await fixture.pass(2 * day)
      await fixture.store.delete(['media/a/orphan.gif'])
      await fixture.object('media/a/orphan.gif', 'another')
      expect((await fixture.apply(await fixture.scan(), { minAge: 0 })).outcomes).toMatchObject({ skipped: 1 })
    })

    it('leaves alone what lies where its copy would go: it may be the last of something', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/a/orphan.gif', 'nobody’s')
      await fixture.object('quarantine/media/a/orphan.gif', 'set aside before a backup was restored')
      const lines = await fixture.scanTwice()
      const told: string[] = []
      const onOutcome = ({ reason = '' }) => void told.push(reason)
      expect((await fixture.apply(lines, { onOutcome })).outcomes).toMatchObject({ skipped: 1, quarantined: 0 })
      expect(told).toEqual(['its copy could not be verified'])
      expect(await fixture.read('quarantine/media/a/orphan.gif')).toBe('set aside before a backup was restored')
      expect(await fixture.read('media/a/orphan.gif')).toBe('nobody’s')
      // Out of its way, the orphan goes.
      await fixture.store.delete(['quarantine/media/a/orphan.gif'])
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 1 })
    })

    it('leaves alone what a row has taken since the scan', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/a/orphan.gif')
      const lines = await fixture.scanTwice()
      await fixture.row('media/a/orphan.gif')
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })
      expect(await fixture.keys()).toEqual(['media/a/kept.gif', 'media/a/orphan.gif'])
    })

    it('gives way to a row that comes while the object is copied, and none can come after', async () => {
      let meanwhile = async () => {}
      await fresh({
        wrapStore: (store) =>
          new Proxy(store, {
            get(target, name) {
              if (name !== 'copy') return Reflect.get(target, name, target)
              return async (...args: Parameters<typeof store.copy>) => {
                const answer = await target.copy(...args)
                await meanwhile()
                return answer
              }
            },
          }),
      })
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/a/orphan.gif')
      const lines = await fixture.scanTwice()
      meanwhile = async () => {
        await fixture.row('media/a/orphan.gif')
      }
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ quarantined: 0, skipped: 1 })
      expect(await fixture.keys()).toEqual(['media/a/kept.gif', 'media/a/orphan.gif'])

      await fixture.object('media/a/second.gif')
      meanwhile = async () => {}
      expect((await fixture.apply(await fixture.scanTwice())).outcomes).toMatchObject({ quarantined: 1 })
      await expect(fixture.row('media/a/second.gif')).rejects.toMatchObject({ code: 'object_exists' })
      await fixture.reconcile.restore(['media/a/second.gif'])
      await fixture.row('media/a/second.gif')
      expect(await fixture.read('media/a/second.gif')).toBe('media/a/second.gif')
    })

    it('marks what is missing, and keeps its row', async () => {
      const id = await fixture.keep('media/a/1.gif')
      await fixture.store.delete(['media/a/1.gif'])
      await fixture.pass(1)
      const lines = await fixture.scan()
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ marked: 1 })
      expect(await health(id)).toBe('missing')
      expect((await fixture.apply(lines)).outcomes).toMatchObject({ marked: 1 })
      expect(await audit('asset.missing', id)).toHaveLength(1)
      // It comes back by other hands.
      await fixture.object('media/a/1.gif', 'media/a/1.gif', id)
      expect((await fixture.apply(await fixture.scan())).outcomes).toMatchObject({ recovered: 1 })
      expect(await health(id)).toBe('ok')
      expect(await audit('asset.recovered', id)).toHaveLength(1)
    })

    it('brings a missing object back from quarantine', async () => {
      const id = await fixture.keep('media/a/1.gif', 'the bytes')
      await fixture.store.copy({ source: 'media/a/1.gif', key: 'quarantine/media/a/1.gif' })
      await fixture.store.delete(['media/a/1.gif'])
      await fixture.pass(1)
      expect((await fixture.apply(await fixture.scan())).outcomes).toMatchObject({ recovered: 1 })
      expect(await fixture.read('media/a/1.gif')).toBe('the bytes')
      expect(await health(id)).toBe('ok')
      expect((await audit('asset.recovered'))[0]?.detail).toMatchObject({ from: 'quarantine' })
    })

    it('asks the other sources in turn, and takes only the very same bytes', async () => {
      const source = (name: string, text: string) => ({
        name,
        open: async () =>
          async function* () {
            yield Buffer.from(text)
          },
      })
      await fresh({
        recoverySources: [
          { name: 'empty', open: async () => undefined },
          source('wrong', 'the Bytes'),
          source('replica', 'the bytes'),
        ],
      })
      const id = await fixture.row('media/a/1.gif', 'the bytes')
      await fixture.pass(1)
      expect((await fixture.apply(await fixture.scan())).outcomes).toMatchObject({ recovered: 1 })
      expect(await fixture.read('media/a/1.gif')).toBe('the bytes')
      expect((await fixture.store.head('media/a/1.gif'))?.metadata).toMatchObject({ asset: id, owner: 'ada' })
      expect((await audit('asset.recovered'))[0]?.detail).toMatchObject({ from: 'replica' })
    })

    it('takes nothing for brought back that came by other hands and is something else', async () => {
      let id = ''
      const late = {
        name: 'replica',
        open: async () => {
          await fixture.object('media/a/1.gif', 'other', id)
          return () => Readable.from([Buffer.from('the bytes')])
        },
      }
      await fresh({ recoverySources: [late] })
      id = await fixture.row('media/a/1.gif', 'the bytes')
      await fixture.pass(1)
      expect((await fixture.apply(await fixture.scan())).outcomes).toMatchObject({ marked: 1, recovered: 0 })
      expect(await health(id)).toBe('corrupt')
      expect(await fixture.read('media/a/1.gif')).toBe('other')
    })

    it('goes past a source that fails, says so where it was the last, and goes on with the rest', async () => {
      const down = () => Promise.reject(new KeepsakeError('store_unavailable', 'It is down (a fault of the test).'))
      const cut = {
        name: 'cut',
        open: async () =>
          async function* () {
            yield Buffer.from('the')
            await down()
          },
      }
      const sources = [{ name: 'replica', open: down }, cut]
      await fresh({ recoverySources: sources })
      for (let n = 0; n < 3; n += 1) await fixture.row(`media/a/${n}.gif`, 'the bytes')
      await fixture.keep('media/b/kept.gif')
      await fixture.object('media/c/orphan.gif')
      const lines = await fixture.scanTwice()
      const told: string[] = []
      const { outcomes } = await fixture.apply(lines, { onOutcome: ({ reason = '' }) => void told.push(reason) })
      expect(outcomes).toMatchObject({ failed: 3, quarantined: 1 })
      expect(told.filter((reason) => /could be asked: replica: It is down/.test(reason))).toHaveLength(3)
      const back = { name: 'source', open: async () => () => Readable.from([Buffer.from('the bytes')]) }
      const { reconcile } = fixture
      const again = createReconcile({ ...fixture.parts, recoverySources: [...sources, back] })
      expect((await again.apply(toStream(lines), { maxShare: 1 })).outcomes).toMatchObject({ recovered: 3, failed: 0 })
      expect(found(await collect(reconcile.manifest((await reconcile.scan()).scan.id)))).toEqual([])
    })

    it('marks an object of another size, and touches neither it nor what is not ours', async () => {
      const id = await fixture.row('media/a/1.gif', 'longer than it is')
      await fixture.object('media/a/1.gif', 'short', id)
      await fixture.stranger('media/a/notes.txt')
      await fixture.pass(1)
      const done = await fixture.apply(await fixture.scanTwice())
      expect(done).toMatchObject({ untouched: 1, outcomes: { marked: 1, quarantined: 0 } })
      expect(await health(id)).toBe('corrupt')
      expect(await fixture.keys()).toEqual(['media/a/1.gif', 'media/a/notes.txt'])
    })
  })

  describe('a brake', () => {
    const refused = async (lines: readonly string[], brake: string, options = {}) => {
      const before = await fixture.keys()
      await expect(fixture.reconcile.apply(toStream(lines), options)).rejects.toMatchObject({
        code: 'upkeep_refused',
        details: { brake },
      })
      expect(await fixture.keys()).toEqual(before)
    }
    it('holds on more orphans than 5 %, or than allowed, unless told their number', async () => {
      for (let n = 0; n < 30; n += 1) await fixture.keep(`media/a/${n}.gif`)
      await fixture.object('media/b/1.gif')
      await fixture.object('media/b/2.gif')
      const lines = await fixture.scanTwice()
      await refused(lines, 'count')
      await refused(lines, 'count', { maxShare: 1, maxObjects: 1 })
      await refused(lines, 'expect', { expect: 3 })
      expect((await fixture.reconcile.apply(toStream(lines), { expect: 2 })).outcomes.quarantined).toBe(2)
    })

    it('holds on an empty catalogue, whatever it is told', async () => {
      await fixture.object('media/b/1.gif')
      const lines = await fixture.scanTwice()
      await refused(lines, 'empty', { expect: 1 })
    })

    it('holds on a single object that its catalogue never had: it may be a copy, or an older backup', async () => {
      for (let n = 0; n < 30; n += 1) await fixture.keep(`media/a/${n}.gif`)
      await fixture.object('media/b/ours.gif')
      await fixture.unheardOf('media/b/live-elsewhere.gif')
      const lines = await fixture.scanTwice()
      await refused(lines, 'unheard-of', { maxShare: 1 })
      expect((await fixture.reconcile.apply(toStream(lines), { expect: 2 })).outcomes.quarantined).toBe(2)
    })

    it('holds on the bucket of another catalogue', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/b/1.gif')
      const lines = await fixture.scanTwice()
      const body = Buffer.from(JSON.stringify({ keepsake: 1, catalogue: newAssetId() }))
      const sha256 = hash('sha256', body, 'hex')
      const contentType = 'application/json'
      await fixture.store.put({ key: markerKey, body, size: body.length, sha256, contentType, createOnly: false })
      await refused(lines, 'foreign', { maxShare: 1 })
      await expect(fixture.scan()).rejects.toMatchObject({ code: 'upkeep_refused', details: { brake: 'foreign' } })
      await expect(fixture.reconcile.restore('all')).rejects.toMatchObject({ code: 'upkeep_refused' })
    })

    it('holds on a manifest that is old, or of a scan that is not known', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/b/1.gif')
      const lines = await fixture.scanTwice()
      await fixture.pass(8 * day)
      await refused(lines, 'age', { maxShare: 1 })
      await fixture.database.service.query('delete from keepsake.scans')
      await refused(lines, 'unknown', { maxShare: 1 })
    })

    it('holds on findings that its scan did not have, however well the file is made', async () => {
      for (let n = 0; n < 30; n += 1) await fixture.keep(`media/a/${n}.gif`)
      for (let n = 0; n < 20; n += 1) await fixture.object(`media/b/${n}.gif`)
      const many = await fixture.scanTwice()
      await refused(many, 'count')
      const none = await fixture.scan({ prefix: 'media/a/' })
      const { uploadId } = await fixture.store.createMultipart({ key: 'somebody/else.bin', contentType: 'video/mp4' })
      const upload = { kind: 'multipart', key: 'somebody/else.bin', uploadId, initiated: new Date().toISOString() }
      for (const lines of [many.slice(1), [JSON.stringify(upload)]]) {
        const checksum = hash('sha256', lines.map((line) => `${line}\n`).join(''), 'hex')
        const header = { ...JSON.parse(none[0] ?? ''), lines: lines.length, checksum }
        await refused([JSON.stringify(header), ...lines], 'changed')
      }
      expect(await collect(fixture.store.listMultipart())).toHaveLength(1)
    })

    it('holds where most of what is stored is missing, unless told its number', async () => {
      const ids: string[] = []
      for (let n = 10; n < 31; n += 1) ids.push(await fixture.row(`media/a/${n}.gif`))
      for (let n = 0; n < 10; n += 1) await fixture.keep(`media/b/${n}.gif`)
      await fixture.pass(1)
      const lines = await fixture.scan()
      await refused(lines, 'missing')
      await refused(lines, 'expect', { expectMissing: 20 })
      for (const id of ids) expect(await health(id)).toBe('ok')
      const { outcomes } = await fixture.reconcile.apply(toStream(lines), { expectMissing: 21 })
      expect(outcomes.marked).toBe(21)
    })

    it('holds on a manifest that is not whole', async () => {
      await fixture.keep('media/a/kept.gif')
      await fixture.object('media/b/1.gif')
      await fixture.object('media/b/2.gif')
      const lines = await fixture.scanTwice()
      for (const broken of [
        lines.slice(0, -1),
        [...lines, lines.at(-1) ?? ''],
        lines.slice(1),
        [],
        lines.map((line) => line.replace('media/b/1.gif', 'media/a/kept.gif')),
        lines.map((line) => line.replace('"kind":"orphan"', '"kind":"orphans"')),
      ]) {
        await expect(fixture.apply(broken)).rejects.toMatchObject({ code: 'invalid_request' })
      }
      expect((await fixture.apply(lines)).outcomes.quarantined).toBe(2)
    })
  })

  it('loses nothing wherever a move or a restore breaks off, and goes on', async () => {
    let [calls, at, after] = [0, 0, false]
    const plan = {
      calls: () => {
        calls += 1
        return calls
      },
      get at() {
        return at
      },
      get after() {
        return after
      },
    }
    const failure = () => new KeepsakeError('store_unavailable', 'It broke off here (a fault of the test).')
    await fresh({
      wrapStore: (store) => failingAt(store, plan, failure),
      wrapCatalogue: (catalogue) => failingAt(catalogue, plan, failure),
    })
    await fixture.keep('media/a/kept.gif')
    const breakingOff = async (step: number, work: () => Promise<unknown>) => {
      ;[calls, at] = [0, step]
      await work().catch((error: unknown) => {
        if (!KeepsakeError.is(error, 'store_unavailable')) throw error
      })
      at = 0
      return calls >= step
    }
    for (const order of [false, true]) {
      after = order
      let [step, cut] = [0, true]
      while (cut) {
        step += 1
        const key = `media/${order}/${step}.gif`
        const whereverItIs = async () => (await fixture.read(key)) ?? (await fixture.read(`quarantine/${key}`))
        await fixture.object(key, 'precious')
        const lines = await fixture.scanTwice()
        cut = await breakingOff(step, () => fixture.apply(lines))
        expect(await whereverItIs(), `step ${step}`).toBe('precious')
        // Half-way claims run out, and a removal that was not sure becomes so.
        await fixture.pass(2 * 3600)
        await fixture.apply(lines)
        cut = (await breakingOff(step, () => fixture.reconcile.restore([key]))) || cut
        expect(await whereverItIs(), `step ${step}`).toBe('precious')
        await fixture.pass(2 * 3600)
        await fixture.reconcile.restore([key])
        expect(await fixture.read(key), `step ${step}`).toBe('precious')
        // Nothing holds its key any more: a row may take it.
        await fixture.row(key, 'precious')
      }
      expect(step).toBeGreaterThan(15)
    }
    expect(await fixture.read('media/a/kept.gif')).toBe('media/a/kept.gif')
  })
})
