import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import './global-setup.ts'

export type FreshDatabase = {
  /** `postgres://…`, as superuser. */
  readonly url: string
  /** The same database as another login. */
  as(user: string, password: string): string
  /** Runs a script as the superuser, past everything that is tested. */
  admin(text: string): Promise<readonly Record<string, unknown>[]>
  drop(): Promise<void>
}

/** A new, empty database on the run's PostgreSQL server, for one test file. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const server = inject('postgresUrl')
  const name = `keepsake_${randomBytes(6).toString('hex')}`
  await runAs(server, `create database ${name} template template0`)
  const url = new URL(server)
  url.pathname = name
  return {
    url: url.href,
    as(user, password) {
      const other = new URL(url)
      other.username = user
      other.password = password
      return other.href
    },
    admin: (text) => runAs(url.href, text),
    drop: async () => {
      await runAs(server, `drop database if exists ${name} with (force)`)
    },
  }
}

async function runAs(connectionString: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query(text)
    return rows ?? []
  } finally {
    await client.end()
  }
}
