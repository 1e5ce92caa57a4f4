import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import { checkObjectKey, type ListedObject } from '../../stores/index.ts'
import { linesOf } from './lines.ts'

const entrySchema = z.strictObject({
  key: z.string().min(1),
  size: z.int().min(0),
  etag: z.string(),
  lastModified: z.iso.datetime().transform((text) => new Date(text)),
})

/** A line of an inventory as Keepsake passes it on: one object's JSON. @throws {KeepsakeError} `invalid_request` */
export function parseEntry(line: string): ListedObject {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw unreadable()
  }
  const parsed = entrySchema.safeParse(value)
  if (!parsed.success) throw unreadable()
  checkObjectKey(parsed.data.key)
  return parsed.data
}

/** An inventory's lines, one object each, as they come in. */
export async function* parseEntries(source: AsyncIterable<Uint8Array>): AsyncGenerator<ListedObject> {
  for await (const line of linesOf(source)) if (line !== '') yield parseEntry(line)
}

function unreadable(): KeepsakeError {
  return new KeepsakeError(
    'invalid_request',
    'A line of the inventory is not an object with key, size, etag and lastModified. Nothing was compared.',
  )
}
