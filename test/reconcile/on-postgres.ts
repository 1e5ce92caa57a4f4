import { randomBytes } from 'node:crypto'
import pg from 'pg'

/** An empty database of its own on a server, for one process of a run. */
export async function newDatabase(server: string): Promise<string> {
  const name = `interleavings_${randomBytes(6).toString('hex')}`
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  await client.query(`create database ${name} template template0`)
  await client.end()
  const url = new URL(server)
  url.pathname = name
  return url.href
}
