import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { databases, type OpenedDatabase } from '../../../test/support/databases.ts'
import { type NightlyRequest, reconcileNightly } from './nightly.ts'
import { Fixture } from './testing/fixture.ts'

const day = 86_400

describe.each(databases)('a scan by the clock, on $name', ({ open }) => {
  let opened: OpenedDatabase
  let fixture: Fixture
  let dir: string
  beforeAll(async () => {
    opened = await open()
  })
  afterAll(() => opened.close())
  beforeEach(async () => {
    fixture = await Fixture.open(opened.single)
    await fixture.database.service.query('delete from keepsake.upkeep_runs')
    dir = join(fixture.parts.spoolDir, 'nightly')
    await fixture.keep('media/a/kept.gif')
    await fixture.row('media/a/lost.gif')
    await fixture.object('media/b/left.gif')
    await fixture.pass(2 * day)
  })
  afterEach(() => fixture.close())

  const run = (request: NightlyRequest, signal = new AbortController().signal) =>
    reconcileNightly({ ...fixture.parts, manifestDir: dir }, request, { role: 'system' }, signal)
  const lastRun = async () => (await fixture.catalogue.lastRuns())[0]
  const healthOf = async (key: string) => {
    const { rows } = await fixture.database.service.query('select health from keepsake.assets where key = $1', [key])
    return rows[0]?.health
  }

  it('changes nothing, leaves its manifest, and is written down with what it found', async () => {
    const result = await run({})
    expect(result).toMatchObject({ objects: 2, rows: 2, findings: { missing: 1, orphan: 1 }, ripe: 0 })
    expect(result).not.toHaveProperty('outcomes')
    const text = await readFile(result.manifest, 'utf8')
    expect(text.split('\n').filter((line) => /"kind":"(missing|orphan)"/.test(line))).toHaveLength(2)
    expect(await healthOf('media/a/lost.gif')).toBe('ok')
    expect(await fixture.store.head('media/b/left.gif')).toBeDefined()
    expect(await lastRun()).toMatchObject({
      name: 'reconcile',
      detail: { scan: result.scan, findings: { missing: 1 } },
    })
  })

  it('acts where it is told to: on what is missing at once, on orphans at the second sight', async () => {
    // One orphan of two objects would hold the brake.
    for (let n = 0; n < 20; n += 1) await fixture.keep(`media/c/${n}.gif`)
    expect(await run({ apply: true })).toMatchObject({ outcomes: { marked: 1, quarantined: 0 } })
    expect(await healthOf('media/a/lost.gif')).toBe('missing')
    await fixture.pass(day + 60)
    expect(await run({ apply: true })).toMatchObject({ ripe: 1, outcomes: { quarantined: 1 } })
    expect(await fixture.store.head('quarantine/media/b/left.gif')).toBeDefined()
  })

  it('does nothing where a brake holds, and still says what it found and where', async () => {
    await run({})
    await fixture.pass(day + 60)
    await expect(run({ apply: true, maxObjects: 0 })).rejects.toMatchObject({ code: 'upkeep_refused' })
    expect(await fixture.store.head('media/b/left.gif')).toBeDefined()
    expect(await healthOf('media/a/lost.gif')).toBe('ok')
    const detail = (await lastRun())?.detail
    expect(detail).toMatchObject({ problem: 'upkeep_refused', findings: { orphan: 1 }, ripe: 1 })
    expect(await readFile(String(detail?.manifest), 'utf8')).toContain('media/b/left.gif')
  })

  it('goes on with a scan that was cut off within a day, and begins anew after', async () => {
    const { store, catalogue } = fixture
    const begun = await catalogue.beginScan({ bucket: store.name, prefix: '', source: 'list', hashes: false })
    expect((await run({})).scan).toBe(begun.id)
    const another = await catalogue.beginScan({ bucket: store.name, prefix: '', source: 'list', hashes: false })
    await fixture.pass(day + 60)
    expect((await run({})).scan).not.toBe(another.id)
    const hashing = await catalogue.beginScan({ bucket: store.name, prefix: '', source: 'list', hashes: true })
    expect((await run({})).scan).not.toBe(hashing.id)
  })

  it('keeps the manifests of a fortnight', async () => {
    await rm(dir, { recursive: true, force: true })
    const manifests: string[] = []
    for (let night = 0; night < 16; night += 1) {
      await fixture.pass(day)
      manifests.push((await run({})).manifest)
    }
    expect((await readdir(dir)).map((name) => join(dir, name)).sort()).toEqual(manifests.slice(2))
  })
})
