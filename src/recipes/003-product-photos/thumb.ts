import { type Asset, KeepsakeError, type Verbs } from '../../index.ts'
import { saveStage } from './pipeline.ts'

/** Pixels that an image may have: a small file can hold very many. */
const mostPixels = 50_000_000
/** Pixels of a thumb's longer side. */
const defaultSize = 320

/**
 * Makes a thumb of an image and keeps it in `thumbs`, of the same job and owner. Once: the same again gives the same.
 *
 * @throws `invalid_request` for what is no image of a job; `content_type_refused` where it cannot be decoded;
 * `asset_not_found`, `asset_not_stored`
 */
export async function saveThumb(verbs: Verbs, id: string, size = defaultSize): Promise<Asset> {
  const asset = await verbs.get(id)
  const { job } = asset.attributes
  if (job === undefined || asset.kind !== 'image') {
    throw new KeepsakeError('invalid_request', 'A thumb is made of an image of a job.')
  }
  const bytes = await inTurn(async () => shrink(await collect((await verbs.read(id)).body), size))
  return saveStage(
    verbs,
    job,
    'thumbs',
    { bytes },
    {
      parents: [id],
      owner: asset.owner,
      provenance: { settings: { size } },
      idempotencyKey: `thumb-${id}-${size}`,
    },
  )
}

let last: Promise<unknown> = Promise.resolve()

/** One at a time: an image that is decoded takes up to four bytes a pixel. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const turn = last.then(work)
  last = turn.catch(() => {})
  return turn
}

/** Within the collection's `maxSize`. */
async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function shrink(bytes: Buffer, size: number): Promise<Buffer> {
  const { default: sharp } = await import('sharp')
  try {
    return await sharp(bytes, { limitInputPixels: mostPixels })
      .autoOrient()
      .resize({ width: size, height: size, fit: 'inside', withoutEnlargement: true })
      .webp()
      .toBuffer()
  } catch (cause) {
    throw new KeepsakeError('content_type_refused', 'The image cannot be decoded here, so there is no thumb of it.', {
      cause,
    })
  }
}
