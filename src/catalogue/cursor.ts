import { KeepsakeError } from '../media/index.ts'

/** Where a page of assets ended: the sort key of its last row. */
export type AssetCursor = { readonly createdAt: Date; readonly id: string }

export function writeAssetCursor({ createdAt, id }: AssetCursor): string {
  return encode(`${createdAt.getTime()}.${id}`)
}

/** @throws {KeepsakeError} `invalid_request` */
export function readAssetCursor(cursor: string): AssetCursor {
  const match = /^(-?\d{1,15})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(decode(cursor))
  const [, milliseconds, id] = match ?? []
  if (milliseconds === undefined || id === undefined) return refuse()
  const createdAt = new Date(Number(milliseconds))
  // A year of more than four digits is none that Postgres reads, nor one of ours.
  if (!(createdAt.getTime() >= 0 && createdAt.getUTCFullYear() <= 9999)) return refuse()
  return { createdAt, id }
}

export function writeAuditCursor(id: string): string {
  return encode(id)
}

/** @throws {KeepsakeError} `invalid_request` */
export function readAuditCursor(cursor: string): string {
  const id = decode(cursor)
  return /^\d{1,18}$/.test(id) ? id : refuse()
}

/** @throws {KeepsakeError} `invalid_request` */
export function requireLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1000) return
  throw new KeepsakeError('invalid_request', `limit is ${limit}. Allowed is an integer from 1 to 1000.`)
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url')
}

function decode(cursor: string): string {
  return Buffer.from(cursor, 'base64url').toString('latin1')
}

function refuse(): never {
  throw new KeepsakeError('invalid_request', 'The cursor is not one. Send nextCursor of the page before, unchanged.')
}
