import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectCatalogue, openPglite, type PgliteDatabase } from '../catalogue/index.ts'
import { systemClock } from '../clock.ts'
import { createInlineJobs } from '../jobs/index.ts'
import { type CatalogueParts, catalogueChecks, runCatalogueCheck } from './catalogue-checks.ts'

type Id = keyof typeof catalogueChecks
const ids = Object.keys(catalogueChecks) as Id[]

let database: PgliteDatabase
let parts: CatalogueParts
beforeAll(async () => {
  database = await openPglite({ dir: 'memory' })
  const jobs = createInlineJobs()
  await jobs.start({ settle: async () => {}, sweep: async () => {} })
  parts = { catalogue: inspectCatalogue(database), clock: systemClock, jobs }
})
afterAll(() => database.close())

const look = (id: Id, more: Partial<CatalogueParts> = {}, signal = new AbortController().signal) =>
  runCatalogueCheck(id, { ...parts, ...more }, signal)

/** As the database's owner. */
async function admin(text: string): Promise<void> {
  await database.pglite.exec(`reset role; ${text}; set role keepsake_service`)
}

it.each(ids)('%s passes on a catalogue that is as it should be', async (id) => {
  expect(await look(id)).toEqual({ status: 'pass', seen: expect.any(String) })
})

describe('is broken', () => {
  it.each<[Id, string, string, RegExp]>([
    [
      'catalogue.migrated',
      `update keepsake.migrations set name = name || 's' where id = 1`,
      `update keepsake.migrations set name = 'catalogue' where id = 1`,
      /^Not applied: 0001 catalogue\.$/,
    ],
    [
      'catalogue.migrated',
      `insert into keepsake.migrations (id, name, checksum) values (9999, 'newer', '')`,
      'delete from keepsake.migrations where id = 9999',
      /^Of another version: 9999 newer\.$/,
    ],
    [
      'catalogue.row-security',
      'alter table keepsake.assets disable row level security',
      'alter table keepsake.assets enable row level security',
      /^It was tried: another owner reads keepsake\.assets; another owner deletes the asset/,
    ],
    [
      'catalogue.forced',
      'alter role keepsake_user bypassrls',
      'alter role keepsake_user nobypassrls',
      /^Found: the role keepsake_user passes by it\.$/,
    ],
  ])('%s by %s', async (id, breaking, mending, seen) => {
    await admin(breaking)
    const verdict = await look(id)
    await admin(mending)
    expect(verdict).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    expect((await look(id)).status).toBe('pass')
  })

  it.each([
    [90, undefined, /^This machine is (89|90|91) seconds ahead\.$/],
    [-400, 'high', /^This machine is (399|400|401) seconds behind\.$/],
  ])('catalogue.clock by %i seconds', async (seconds, severity, seen) => {
    const clock = { ...systemClock, now: () => new Date(Date.now() + seconds * 1000) }
    const verdict = await look('catalogue.clock', { clock })
    expect(verdict).toMatchObject({ status: 'fail', seen: expect.stringMatching(seen) })
    expect(verdict.severity).toBe(severity)
  })

  it('catalogue.queue by a queue that nobody works', async () => {
    expect(await look('catalogue.queue', { jobs: createInlineJobs() })).toEqual({
      status: 'fail',
      seen: 'Nobody worked a job of the queue in time.',
    })
  })

  it('a database that is away fails catalogue.reachable, and nothing else is known', async () => {
    const gone = await openPglite({ dir: 'memory' })
    await gone.close()
    const catalogue = inspectCatalogue(gone)
    for (const id of ids.filter((id) => id !== 'catalogue.queue')) {
      const { status } = await look(id, { catalogue })
      expect([id, status]).toEqual([id, id === 'catalogue.reachable' ? 'fail' : 'unknown'])
    }
  })

  it('an interruption is no pass', async () => {
    for (const id of ids) {
      expect(await look(id, {}, AbortSignal.abort())).toEqual({
        status: 'unknown',
        seen: 'Interrupted, or out of time.',
      })
    }
  })
})
