import type { Actor } from './catalogue.ts'
import type { Database, Sql } from './sql.ts'

/**
 * Work as the actor: a user's in a transaction that row-level security binds to its owner, everybody else's as the
 * service, where each statement is a transaction and a round trip of its own.
 */
export function acting<T>(database: Database, actor: Actor, work: (sql: Sql) => Promise<T>): Promise<T> {
  return actor.role === 'user' ? database.ownerTransaction(actor.owner, work) : work(database.service)
}

/** The actor as an audit row names it. */
export function actorName(actor: Actor): string {
  return actor.role === 'user' ? `user:${actor.owner}` : actor.role
}
