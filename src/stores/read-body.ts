import type { ObjectBody } from './object-store.ts'

/** A body of `size` bytes from its start, whatever form it has. */
export async function* readBody(body: ObjectBody, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (body instanceof Uint8Array) yield body
  else yield* typeof body === 'function' ? body() : body.read(0, size)
}
