import { once } from 'node:events'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../test/support/fresh-database.ts'
import { KeepsakeError } from '../media/index.ts'
import { createJobs, type Jobs, type JobsOptions } from './index.ts'
import { pgliteConnection } from './pglite-connection.ts'

/** What the handlers saw, and a way to wait for it. */
class Record {
  readonly settled: string[] = []
  sweeps = 0
  #wake: (() => void)[] = []

  changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve))
  }

  readonly handlers = {
    settle: async (asset: string) => {
      this.settled.push(asset)
      this.changed()
    },
    sweep: async () => {
      this.sweeps += 1
      this.changed()
    },
  }
}

let fresh: FreshDatabase
let pglite: PGlite

beforeAll(async () => {
  fresh = await freshDatabase()
  pglite = await PGlite.create()
})

afterAll(async () => {
  await pglite.close()
  await fresh.drop()
})

const kinds: readonly { name: string; database: () => JobsOptions['database'] }[] = [
  { name: 'PGlite', database: () => ({ kind: 'pglite', pglite }) },
  { name: 'PostgreSQL', database: () => ({ kind: 'postgres', connectionString: fresh.url }) },
]

const opened: Jobs[] = []

afterEach(async () => {
  for (const jobs of opened.splice(0)) await jobs.stop(5)
})

async function open(database: JobsOptions['database'], options: Partial<JobsOptions> = {}): Promise<Jobs> {
  const jobs = await createJobs({ sweepEverySeconds: 600, ...options, database })
  opened.push(jobs)
  return jobs
}

describe.each(kinds)('jobs on $name', ({ database }) => {
  // The sweep and the polling are 600 seconds away: what comes in time was woken.
  test('a nudge is worked although nothing polls', async () => {
    const seen = new Record()
    const jobs = await open(database())
    await jobs.start(seen.handlers)
    await seen.until(() => seen.sweeps === 1)
    for (const asset of ['a', 'b', 'c']) {
      await jobs.nudge(asset)
      await seen.until(() => seen.settled.includes(asset))
    }
    expect(seen.settled).toEqual(['a', 'b', 'c'])
  })

  test('a check is worked like any nudge, and tells when nobody works', async () => {
    const seen = new Record()
    const jobs = await open(database())
    // What the first has left behind, or is still waiting for, keeps no other from being taken.
    const unworked = () => expect(jobs.check(AbortSignal.timeout(300))).rejects.toMatchObject({ code: 'timeout' })
    await Promise.all([unworked(), unworked()])
    await unworked()
    await jobs.start(seen.handlers)
    expect(await jobs.check(AbortSignal.timeout(30_000))).toBeGreaterThanOrEqual(0)
    expect(seen.settled.length).toBeGreaterThanOrEqual(1)
    await jobs.stop(5)
    await expect(jobs.check(AbortSignal.timeout(300))).rejects.toMatchObject({
      code: expect.stringMatching(/^(timeout|catalogue_unavailable)$/),
    })
  })

  test('a delayed nudge is worked when it is due, and not before', async () => {
    const seen = new Record()
    const jobs = await open(database())
    await jobs.start(seen.handlers)
    const begin = performance.now()
    await jobs.nudge('later', 1)
    await jobs.nudge('now')
    await seen.until(() => seen.settled.includes('later'))
    // A check that timed out leaves its job to whoever comes next.
    expect(seen.settled.filter((asset) => asset === 'now' || asset === 'later')).toEqual(['now', 'later'])
    // The database counts on a clock of its own.
    expect(performance.now() - begin).toBeGreaterThan(950)
  })

  test('a nudge for now is worked although one for later waits', async () => {
    const seen = new Record()
    const jobs = await open(database())
    await jobs.start(seen.handlers)
    await jobs.nudge('asset', 3600)
    await jobs.nudge('asset')
    await seen.until(() => seen.settled.includes('asset'))
  })

  test('hundreds at once are all worked, no more at a time than allowed', async () => {
    const seen = new Record()
    let running = 0
    let most = 0
    const jobs = await open(database(), { concurrency: 3 })
    const assets = Array.from({ length: 300 }, (_, index) => `many-${index}`)
    await jobs.start({
      ...seen.handlers,
      settle: async (asset) => {
        running += 1
        most = Math.max(most, running)
        await new Promise(setImmediate)
        running -= 1
        await seen.handlers.settle(asset)
      },
    })
    await Promise.all(assets.map((asset) => jobs.nudge(asset)))
    await seen.until(() => new Set(seen.settled).size === assets.length)
    expect(most).toBeLessThanOrEqual(3)
  })

  test('many nudges for an asset that waits are one job', async () => {
    const seen = new Record()
    const jobs = await open(database())
    await Promise.all(Array.from({ length: 50 }, () => jobs.nudge('same')))
    await jobs.nudge('last')
    await jobs.start(seen.handlers)
    await seen.until(() => seen.settled.includes('last'))
    expect(seen.settled.filter((asset) => asset === 'same')).toHaveLength(1)
  })

  test('an asset is never worked twice at the same time, and once more if nudged meanwhile', async () => {
    const seen = new Record()
    const gates: (() => void)[] = []
    let running = 0
    const jobs = await open(database())
    await jobs.start({
      ...seen.handlers,
      settle: async (asset) => {
        if (asset === 'marker') return await seen.handlers.settle(asset)
        running += 1
        expect(running).toBe(1)
        await new Promise<void>((resolve) => {
          gates.push(resolve)
          seen.changed()
        })
        running -= 1
        await seen.handlers.settle(asset)
      },
    })
    await jobs.nudge('slow')
    await seen.until(() => gates.length === 1)
    await jobs.nudge('slow')
    await jobs.nudge('marker')
    await seen.until(() => seen.settled.includes('marker'))
    gates[0]?.()
    await seen.until(() => gates.length === 2)
    gates[1]?.()
    await seen.until(() => seen.settled.filter((asset) => asset === 'slow').length === 2)
  })

  test('a handler that throws is logged and keeps nobody up', async () => {
    const seen = new Record()
    const warned: unknown[] = []
    const warn = (fields: object): void => {
      if ('asset' in fields) warned.push(fields.asset)
      seen.changed()
    }
    const jobs = await open(database(), { logger: { warn, error: () => {} } })
    await jobs.start({
      ...seen.handlers,
      settle: async (asset) => {
        if (asset === 'bad') throw new Error('no luck')
        await seen.handlers.settle(asset)
      },
    })
    await jobs.nudge('bad')
    await jobs.nudge('good')
    await seen.until(() => seen.settled.includes('good') && warned.includes('bad'))
  })

  test('the sweep runs at the start and then regularly, also after one that failed', async () => {
    const seen = new Record()
    const jobs = await open(database(), { sweepEverySeconds: 0.05 })
    await jobs.start({
      ...seen.handlers,
      sweep: async () => {
        await seen.handlers.sweep()
        if (seen.sweeps === 1) throw new Error('the catalogue is away')
      },
    })
    await seen.until(() => seen.sweeps >= 4)
  })

  test('stop waits for what runs, and takes no more', async () => {
    const seen = new Record()
    const gates: (() => void)[] = []
    const jobs = await open(database())
    await jobs.start({
      ...seen.handlers,
      settle: async (asset) => {
        await new Promise<void>((resolve) => {
          gates.push(resolve)
          seen.changed()
        })
        await seen.handlers.settle(asset)
      },
    })
    await jobs.nudge('one')
    await seen.until(() => gates.length === 1)
    let stopped = false
    const stopping = jobs.stop(30).then(() => {
      stopped = true
    })
    await new Promise(setImmediate)
    expect(stopped).toBe(false)
    gates[0]?.()
    await stopping
    expect(seen.settled).toEqual(['one'])
    await expect(jobs.nudge('after')).resolves.toBeUndefined()
  })

  test('stop tells what does not end in time to give up', async () => {
    const seen = new Record()
    const jobs = await open(database())
    let signal: AbortSignal | undefined
    await jobs.start({
      ...seen.handlers,
      settle: async (_asset, given) => {
        signal = given
        seen.changed()
        await once(given, 'abort')
      },
    })
    await jobs.nudge('endless')
    await seen.until(() => signal !== undefined)
    await jobs.stop(0.1)
    expect(signal?.aborted).toBe(true)
  })

  test('what waits for a place when its process stops is worked by the next', async () => {
    const seen = new Record()
    const gates: (() => void)[] = []
    const first = await open(database(), { concurrency: 1 })
    await Promise.all(['one', 'two', 'three', 'four'].map((asset) => first.nudge(`waiting ${asset}`)))
    await first.start({
      ...seen.handlers,
      settle: async (asset) => {
        await new Promise<void>((resolve) => {
          gates.push(resolve)
          seen.changed()
        })
        await seen.handlers.settle(asset)
      },
    })
    await seen.until(() => gates.length === 1)
    const stopping = first.stop(30)
    gates[0]?.()
    await stopping
    expect(seen.settled).toHaveLength(1)
    const second = await open(database())
    await second.start(seen.handlers)
    await seen.until(() => new Set(seen.settled.filter((asset) => asset.startsWith('waiting'))).size === 4)
  })

  test('work that was sent while nobody listened is found by the next start', async () => {
    const seen = new Record()
    const sender = await open(database())
    await sender.nudge('left behind')
    await sender.stop()
    const jobs = await open(database())
    await jobs.start(seen.handlers)
    await seen.until(() => seen.settled.includes('left behind'))
  })
})

describe.each(kinds)('schedules on $name', ({ database }) => {
  const scheduling = { schedules: true, scheduleEverySeconds: 1 }
  /** Of a test's own: schedules stay in the database. */
  const nameOf = () => `work_${Math.random().toString(36).slice(2)}`

  test('work is run when its time has come', async () => {
    const seen = new Record()
    const jobs = await open(database(), scheduling)
    await jobs.start(seen.handlers)
    let runs = 0
    await jobs.schedule(nameOf(), '* * * * *', async () => {
      runs += 1
      seen.changed()
    })
    await seen.until(() => runs === 1)
  })

  test('what a stop cuts off is begun again by the next process', async () => {
    const seen = new Record()
    const name = nameOf()
    const first = await open(database(), scheduling)
    await first.start(seen.handlers)
    let aborted = false
    let running = false
    await first.schedule(name, '* * * * *', async (signal) => {
      running = true
      seen.changed()
      await once(signal, 'abort')
      aborted = true
    })
    await seen.until(() => running)
    await first.stop(30)
    expect(aborted).toBe(true)
    // This one looks at no clock: what it runs was left by the first.
    const second = await open(database(), { schedules: true })
    await second.start(seen.handlers)
    let again = false
    await second.schedule(name, '0 0 1 1 *', async () => {
      again = true
      seen.changed()
    })
    await seen.until(() => again)
  })

  test('an expression that is none is refused, and work that fails keeps nobody up', async () => {
    const seen = new Record()
    const errors: object[] = []
    const logger = {
      warn: () => {},
      error: (fields: object) => {
        errors.push(fields)
        seen.changed()
      },
    }
    const jobs = await open(database(), { ...scheduling, logger })
    await jobs.start(seen.handlers)
    await expect(jobs.schedule(nameOf(), 'at noon', async () => {})).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringContaining("'at noon'"),
    })
    const name = nameOf()
    await jobs.schedule(name, '* * * * *', async () => {
      throw new Error('no luck')
    })
    await seen.until(() => errors.length > 0)
    expect(errors).toContainEqual(expect.objectContaining({ work: name }))
    await jobs.nudge('afterwards')
    await seen.until(() => seen.settled.includes('afterwards'))
  })
})

describe('jobs of several processes on PostgreSQL', () => {
  const database = (): JobsOptions['database'] => ({ kind: 'postgres', connectionString: fresh.url })

  test('first starts at the same moment all succeed', async () => {
    const own = await freshDatabase()
    const all = await Promise.all(
      Array.from({ length: 3 }, () => open({ kind: 'postgres', connectionString: own.url })),
    )
    for (const jobs of all) await jobs.stop()
    await own.drop()
  })

  test('one nudges, another works', async () => {
    const seen = new Record()
    const worker = await open(database())
    await worker.start(seen.handlers)
    const sender = await open(database())
    await sender.nudge('from elsewhere')
    await seen.until(() => seen.settled.includes('from elsewhere'))
  })

  test('one of them runs what is scheduled, and never beside a run that has not ended', async () => {
    const seen = new Record()
    let [running, most, runs] = [0, 0, 0]
    let gate = Promise.withResolvers<void>()
    for (let process = 0; process < 3; process += 1) {
      const jobs = await open(database(), { schedules: true })
      await jobs.start(seen.handlers)
      await jobs.schedule('shared', '0 0 1 1 *', async () => {
        running += 1
        runs += 1
        most = Math.max(most, running)
        seen.changed()
        await gate.promise
        running -= 1
        seen.changed()
      })
    }
    const boss = new PgBoss({ connectionString: fresh.url, schema: 'keepsake_jobs', schedule: false, supervise: false })
    await boss.start()
    /** The time has come: some process takes the job. */
    const strike = async (key: string) => {
      const id = await boss.send('schedule_shared', {}, { singletonKey: key })
      for (;;) {
        const [job] = await boss.findJobs('schedule_shared', { id: id ?? '' })
        if (job?.state === 'completed') return
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await strike('a')
    await seen.until(() => running === 1)
    for (const key of ['b', 'c', 'd', 'e', 'f', 'g']) await strike(key)
    expect([runs, most]).toEqual([1, 1])
    gate.resolve()
    await seen.until(() => running === 0)
    gate = Promise.withResolvers()
    // The lock is let go of a moment after the work has ended.
    while (runs < 2) await strike(`again ${runs} ${Math.random()}`)
    expect(most).toBe(1)
    gate.resolve()
    await boss.stop({ graceful: false })
  })

  test('one sweeps at a time, and another takes over when it goes', async () => {
    const first = new Record()
    const second = new Record()
    const leader = await open(database(), { sweepEverySeconds: 0.05 })
    await leader.start(first.handlers)
    await first.until(() => first.sweeps >= 1)
    const follower = await open(database(), { sweepEverySeconds: 0.05 })
    await follower.start(second.handlers)
    const before = first.sweeps
    await first.until(() => first.sweeps >= before + 5)
    expect(second.sweeps).toBe(0)
    await leader.stop()
    await second.until(() => second.sweeps >= 1)
  })

  test('a broken connection aborts the sweep, and everything comes back', async () => {
    const seen = new Record()
    let aborted = false
    const jobs = await open(database(), { sweepEverySeconds: 0.2 })
    await jobs.start({
      ...seen.handlers,
      sweep: async (signal) => {
        await seen.handlers.sweep()
        if (seen.sweeps > 1) return
        await once(signal, 'abort')
        aborted = true
      },
    })
    await seen.until(() => seen.sweeps === 1)
    const client = new pg.Client({ connectionString: fresh.url })
    await client.connect()
    await client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'keepsake %' and datname = current_database()",
    )
    await client.end()
    await seen.until(() => seen.sweeps >= 2)
    expect(aborted).toBe(true)
    await jobs.nudge('afterwards')
    await seen.until(() => seen.settled.includes('afterwards'))
  })

  test('a failing queue never fails the one who nudges', async () => {
    const own = await freshDatabase()
    const warnings: object[] = []
    const logger = { warn: (fields: object) => warnings.push(fields), error: () => {} }
    const jobs = await open({ kind: 'postgres', connectionString: own.url }, { logger })
    await own.drop()
    await expect(jobs.nudge('lost')).resolves.toBeUndefined()
    expect(warnings).toContainEqual(expect.objectContaining({ nudges: 1 }))
  })

  test('a database that does not answer is said to be unavailable, without its password', async () => {
    const failing = createJobs({
      database: { kind: 'postgres', connectionString: 'postgres://me:hunter2@127.0.0.1:1/none' },
    })
    const error = await failing.catch((thrown: unknown) => thrown)
    expect(KeepsakeError.is(error, 'catalogue_unavailable')).toBe(true)
    expect(String(error)).not.toContain('hunter2')
  })
})

describe('jobs and the catalogue on one PGlite', () => {
  test('never fall into each other’s transactions', async () => {
    const seen = new Record()
    const jobs = await open({ kind: 'pglite', pglite })
    await jobs.start(seen.handlers)
    await pglite.exec('create table if not exists mine (n int)')
    const work = Array.from({ length: 40 }, async (_, n) => {
      await Promise.all([
        jobs.nudge(`mixed-${n}`),
        pglite.transaction(async (transaction) => {
          await transaction.query('insert into mine values ($1)', [n])
          await new Promise(setImmediate)
          if (n % 2 === 0) await transaction.rollback()
        }),
      ])
    })
    await Promise.all(work)
    await seen.until(() => seen.settled.filter((asset) => asset.startsWith('mixed-')).length === 40)
    const { rows } = await pglite.query<{ count: number }>('select count(*)::int as count from mine')
    expect(rows[0]?.count).toBe(20)
  })

  test('a block of the queue that fails leaves nothing behind for whoever comes next', async () => {
    const connection = pgliteConnection(pglite)
    const failing = connection.executeSql('BEGIN; select 1/0; COMMIT')
    const next = pglite.query<{ one: number }>('select 1 as one')
    await expect(failing).rejects.toThrow('division by zero')
    expect((await next).rows).toEqual([{ one: 1 }])
  })
})
