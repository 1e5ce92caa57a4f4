import { KeepsakeError } from '../media/index.ts'
import type { Actor } from './catalogue.ts'
import { refusedByRights } from './database-error.ts'
import type { Database, Sql } from './sql.ts'

/**
 * Work as the actor: a user's in a transaction that row-level security binds to its owner, everybody else's as the
 * service, where each statement is a transaction and a round trip of its own.
 *
 * @throws {KeepsakeError} `forbidden` where a user would write what is not its own.
 */
export async function acting<T>(database: Database, actor: Actor, work: (sql: Sql) => Promise<T>): Promise<T> {
  if (actor.role !== 'user') return work(database.service)
  try {
    return await database.ownerTransaction(actor.owner, work)
  } catch (error) {
    if (!refusedByRights(error)) throw error
    throw new KeepsakeError('forbidden', 'A user may only make and change what is its own.', { cause: error })
  }
}

/** The actor as an audit row names it. */
export function actorName(actor: Actor): string {
  return actor.role === 'user' ? `user:${actor.owner}` : actor.role
}
