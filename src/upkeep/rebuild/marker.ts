import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import type { ObjectStore } from '../../stores/index.ts'

/** The object that says which catalogue a bucket belongs to. */
const markerKey = '.keepsake/catalogue.json'
const longest = 64 * 1024

const markerSchema = z.object({ catalogue: z.uuid() })

/**
 * The id of the catalogue that the bucket belongs to, or undefined where it does not say.
 *
 * @throws {KeepsakeError} `invalid_request` where the marker is none.
 */
export async function readCatalogueMarker(store: ObjectStore): Promise<string | undefined> {
  const head = await store.head(markerKey)
  if (head === undefined) return undefined
  const parsed = head.size > longest ? undefined : markerSchema.safeParse(await readJson(store))
  if (parsed?.success) return parsed.data.catalogue
  throw new KeepsakeError(
    'invalid_request',
    `The object ${markerKey} does not say which catalogue the bucket belongs to. Look at it, and remove it if it is not Keepsake's.`,
  )
}

async function readJson(store: ObjectStore): Promise<unknown> {
  const { body } = await store.get(markerKey)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}
