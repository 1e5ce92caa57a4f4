import { createHash, randomUUID } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { z } from 'zod'
import type { EmbeddedS3 } from './embedded-s3/index.ts'
import { formatSize, KeepsakeError } from './media/index.ts'
import { type LocalStore, type ObjectStore, openS3Store } from './stores/index.ts'

export const fallbackBucket = 'keepsake-fallback'
/** The id of a local store lies among its objects, so that it is lost, moved or restored with them. */
const placeKey = '.keepsake/place'

const placeText = z.strictObject({ id: z.uuid() })

export type FallbackOptions = {
  readonly server: Pick<EmbeddedS3, 'region'>
  readonly endpoint: string
  readonly publicEndpoint: string | null
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** The folder that the server writes to. */
  readonly dir: string
  /** Bytes that are left free there. */
  readonly minFree: number
}

/** The local store over a running embedded S3, with the name by which rows know it. */
export async function openLocalStore(options: FallbackOptions): Promise<LocalStore> {
  const { server, endpoint, publicEndpoint, credentials, dir, minFree } = options
  const store = await openS3Store({
    bucket: fallbackBucket,
    name: `local://${dir}`,
    region: server.region,
    endpoint,
    ...(publicEndpoint === null ? {} : { publicEndpoint }),
    forcePathStyle: true,
    credentials,
  })
  try {
    const id = await placeOf(store)
    return { place: `local:${id}`, store, requireRoom: (bytes) => requireRoom(dir, bytes, minFree) }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function placeOf(store: ObjectStore): Promise<string> {
  if ((await store.head(placeKey)) === undefined) {
    const body = Buffer.from(`${JSON.stringify({ id: randomUUID() })}\n`)
    const sha256 = createHash('sha256').update(body).digest('hex')
    await store.put({ key: placeKey, body, size: body.length, sha256, contentType: 'application/json' })
  }
  const pieces: Uint8Array[] = []
  for await (const piece of (await store.get(placeKey)).body) pieces.push(Uint8Array.from(piece))
  try {
    return placeText.parse(JSON.parse(Buffer.concat(pieces).toString())).id
  } catch (cause) {
    throw new KeepsakeError(
      'invalid_setting',
      `${placeKey} in ${store.name} is not what Keepsake wrote there, so nobody can tell which assets lie on this disk. Restore it.`,
      { cause },
    )
  }
}

/** A full disk would take the database along, which may lie on it too. */
async function requireRoom(dir: string, bytes: number, minFree: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  const free = bavail * bsize
  if (free - bytes >= minFree) return
  throw new KeepsakeError(
    'store_unavailable',
    `The bucket is failing, and the disk that is fallen back to has only ${formatSize(free)} free, of which ${formatSize(minFree)} are kept ` +
      '(KEEPSAKE_FALLBACK_MIN_FREE). Make room, or wait for the bucket.',
    { details: { reason: 'disk_full' } },
  )
}
