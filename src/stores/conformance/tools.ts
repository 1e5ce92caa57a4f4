import { hash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { ErrorCode, KeepsakeError } from '../../media/index.ts'
import type { ObjectStore, PutRequest } from '../object-store.ts'

/** The store under test; it is open while tests run. */
export type Store = () => ObjectStore
/** A key that no other test uses. */
export type NewKey = (ending?: string) => string

/** A put of some bytes with everything that the port asks for. */
export function putRequest(key: string, body: Uint8Array, more: Partial<PutRequest> = {}): PutRequest {
  return { key, body, size: body.length, sha256: hash('sha256', body, 'hex'), contentType: 'text/plain', ...more }
}

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content)
}

export async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}

export async function collectAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** A test that is there only where it applies. */
export function onlyIf(applies: boolean): (name: string, test: () => Promise<void>) => void {
  return (name, test) => {
    if (applies) it(name, test)
  }
}

/** A KeepsakeError with a code, for `rejects`. */
export function withCode(code: ErrorCode): KeepsakeError {
  return expect.objectContaining({ name: 'KeepsakeError', code })
}
