import { connect, createServer, type Server, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { reservation } from '../../test/support/databases.ts'
import { type FreshDatabase, freshDatabase } from '../../test/support/fresh-database.ts'
import { createCatalogue, openPostgres, type PostgresDatabase, type PostgresOptions } from './index.ts'

let fresh: FreshDatabase
const opened: PostgresDatabase[] = []

beforeAll(async () => {
  fresh = await freshDatabase()
})
afterAll(() => fresh?.drop())
afterEach(async () => {
  for (const database of opened.splice(0)) await database.close()
})

async function open(options: Partial<PostgresOptions> = {}): Promise<PostgresDatabase> {
  const database = await openPostgres({ connectionString: fresh.url, max: 1, ...options })
  opened.push(database)
  return database
}

const unavailable = { code: 'catalogue_unavailable', retryable: true }

async function backend(database: PostgresDatabase): Promise<number> {
  return Number((await database.service.query('select pg_backend_pid() as pid', [])).rows[0]?.pid)
}

/** Waits until a backend does what the text says, then ends it. */
async function terminate(pid: number, doing: string): Promise<void> {
  const text = `select pg_terminate_backend(pid, 5000) as done from pg_stat_activity where pid = ${pid} and query like '%${doing}%'`
  for (let tries = 0; tries < 1000; tries += 1) if ((await fresh.admin(text)).length > 0) return
  throw new Error('The backend never got there.')
}

describe('a PostgreSQL that fails', () => {
  it('under a statement is unavailable, and used again as soon as it is back', async () => {
    const database = await open()
    const pid = await backend(database)
    const refused = expect(database.service.query('select pg_sleep(60)', [])).rejects.toMatchObject(unavailable)
    await terminate(pid, 'pg_sleep')
    await refused
    await database.check()
    expect(await backend(database)).not.toBe(pid)
  })

  it('between two statements of a transaction is unavailable, and nothing of it stays', async () => {
    const database = await open()
    const catalogue = createCatalogue(database)
    const { id } = reservation()
    const pid = await backend(database)
    const work = database.serviceTransaction(async (sql) => {
      await sql.query(`insert into keepsake.assets (id, collection, owner, until) values ($1, 'c', 'o', now())`, [id])
      await terminate(pid, 'insert into keepsake.assets')
      await sql.query('select 1', [])
    })
    await expect(work).rejects.toMatchObject(unavailable)
    expect(await catalogue.get(id, { role: 'service' })).toBeUndefined()
  })

  it('while nobody asks it is told to the log, and the next call connects anew', async () => {
    const told: string[] = []
    const database = await open({ logger: { warn: (facts, message) => void told.push(message + inspect(facts)) } })
    await terminate(await backend(database), 'pg_backend_pid')
    while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    await database.check()
    expect(told).toHaveLength(1)
    expect(told.join()).not.toContain(new URL(fresh.url).password)
  })

  it('and takes too long is given up at the deadline', async () => {
    const database = await open({ statementTimeout: 0.2 })
    await expect(database.service.query('select pg_sleep(30)', [])).rejects.toMatchObject(unavailable)
    await expect(
      database.ownerTransaction('alice', (sql) => sql.query('select pg_sleep(30)', [])),
    ).rejects.toMatchObject(unavailable)
    await database.check()
  })

  it('and says nothing any more is given up too, and the silent connection with it', async () => {
    const proxy = await silenceableProxy(new URL(fresh.url))
    try {
      const database = await open({ connectionString: proxy.url, statementTimeout: 0.1 })
      proxy.silence()
      await expect(database.check()).rejects.toMatchObject(unavailable)
      proxy.speak()
      await database.check()
    } finally {
      await opened.pop()?.close()
      await proxy.close()
    }
  })

  it('is used by more callers than it has connections, each in turn', async () => {
    const database = await open({ max: 3 })
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        database.ownerTransaction(`o${n}`, (sql) => sql.query('select $1::int as n', [n])),
      ),
    )
    expect(answers.map(({ rows }) => rows[0]?.n)).toEqual(answers.map((_, n) => n))
    expect(database.connections.total).toBeLessThanOrEqual(3)
  })
})

describe('a connection string', () => {
  const password = 'pa55-word'

  it.each(['', 'localhost', 'mysql://a:pa55-word@b/c', '/var/run pa55-word', 'postgres://a:pa55-word@[bad/c'])(
    'that is none (%j) is refused without being repeated',
    async (connectionString) => {
      const refused = await open({ connectionString }).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'invalid_setting' })
      expect(inspect(refused, { depth: 9 })).not.toContain(password)
    },
  )

  it('with a wrong password, a closed port or an unknown host is unavailable, and is not repeated', async () => {
    const [wrong, closed, unknown] = [new URL(fresh.url), new URL(fresh.url), new URL(fresh.url)]
    wrong.password = password
    closed.password = password
    closed.port = '1'
    unknown.password = password
    unknown.hostname = 'host.invalid'
    for (const { href } of [wrong, closed, unknown]) {
      const refused = await open({ connectionString: href }).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'catalogue_unavailable' })
      expect(inspect(refused, { depth: 9, showHidden: true })).not.toContain(password)
    }
  })

  it('does not show when the database is printed', async () => {
    const secret = new URL(fresh.url).password
    const database = await open()
    expect(JSON.stringify(database)).not.toContain(secret)
    expect(inspect(database, { depth: 9 })).not.toContain(secret)
  })
})

it('sees what others committed meanwhile, whatever the database has for a default: the fences stand on it', async () => {
  const name = new URL(fresh.url).pathname.slice(1)
  await fresh.admin(`alter database "${name}" set default_transaction_isolation = 'repeatable read'`)
  try {
    const [writer, mover] = [await open(), await open()]
    const key = 'media/ada/being-moved.gif'
    await writer.serviceTransaction(async (sql) => {
      await sql.query('select count(*) from keepsake.assets', [])
      await mover.service.query(
        `insert into keepsake.quarantine (key, state, until, etag, size, modified_at, asset, owner, collection)
        values ($1, 'removing', keepsake.now() + interval '1 hour', '"0"', 1, keepsake.now(), gen_random_uuid(), 'ada', 'small')`,
        [key],
      )
      const insert = `insert into keepsake.assets (id, collection, owner, state, key, until)
        values (gen_random_uuid(), 'small', 'ada', 'pending', $1, keepsake.now() + interval '1 hour')`
      await sql.query('savepoint before', [])
      await expect(sql.query(insert, [key])).rejects.toMatchObject({ code: 'object_exists' })
      await sql.query('rollback to savepoint before', [])
    })
  } finally {
    await fresh.admin(`alter database "${name}" reset default_transaction_isolation`)
  }
})

it('keeps source URLs and values out of an error', async () => {
  const database = await open()
  const asset = reservation({ sourceUrl: 'https://example.com/?signature=very-secret', reservedBytes: -1 })
  const refused = await createCatalogue(database)
    .reserve(asset, { role: 'service' })
    .catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'invalid_request', details: { constraint: 'numbers_fit' } })
  expect(inspect(refused, { depth: 9, showHidden: true })).not.toContain('very-secret')
})

/** Passes bytes on until it is told to keep them for itself, which a firewall that drops packets does too. */
async function silenceableProxy(target: URL) {
  let silent = false
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
    }
    client.on('data', (bytes) => silent || upstream.write(bytes)).on('close', () => upstream.destroy())
    upstream.on('data', (bytes) => silent || client.write(bytes)).on('close', () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('No port.')
  const url = new URL(target)
  url.port = String(address.port)
  return {
    url: url.href,
    silence: () => {
      silent = true
    },
    speak: () => {
      silent = false
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
