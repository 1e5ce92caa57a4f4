import { KeepsakeError } from '../media/index.ts'
import { toParameters } from './parameters.ts'

/** What every connection of a pool runs as. */
export const serviceRole = 'keepsake_service'

/**
 * The script that binds an open transaction to one owner: until its end, the role is `keepsake_user` and the claim is
 * the owner. Both are local, so COMMIT and ROLLBACK alike undo them. The owner travels as hex digits, which makes the
 * whole one statement without values that one round trip can carry and no owner's name can break out of.
 *
 * @throws {KeepsakeError} `invalid_request` where the owner is no text that Postgres can hold.
 */
export function openUserRole(owner: string): string {
  toParameters([owner])
  const hex = Buffer.from(owner).toString('hex')
  const owned = `convert_from(decode('${hex}', 'hex'), 'UTF8')`
  return `select set_config('role', 'keepsake_user', true), set_config('keepsake.owner', ${owned}, true)`
}

/** A transaction's handle is of no use after its end: the connection is somebody else's by then, or the service's. */
export function requireOpen(open: boolean): void {
  if (!open) {
    throw new KeepsakeError('internal', 'A statement came after the end of its transaction. Await every query in it.')
  }
}
