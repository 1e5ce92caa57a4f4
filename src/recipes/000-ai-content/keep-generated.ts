import { createHash } from 'node:crypto'
import { type Asset, type Keepsake, KeepsakeError, type Provenance, type Verbs } from '../../index.ts'
import { bareWallet, collectionName } from './collection.ts'
import { type FoundImage, type FoundImages, findImages } from './images.ts'

export type GeneratedBy = {
  readonly wallet: string
  readonly agent: string
  /** Default: the one that the answer names. */
  readonly model?: string
  /** Default: the wallet where `keepsake` itself keeps it; of `keepsake.as(user)`, that user. */
  readonly owner?: string
  readonly provider?: string
  readonly prompt?: string
  readonly settings?: Provenance['settings']
  readonly seed?: string | number
  readonly requestId?: string
  /** What makes a repetition one. Default: the request's id, else the content itself. */
  readonly idempotencyKey?: string
}

/** What became of one piece of media; they fail one by one. */
export type KeptGenerated =
  | { readonly asset: Asset }
  | {
      readonly error: KeepsakeError
      /** The original URL, to fall back to; null where it came as base64. */
      readonly url: string | null
    }

/**
 * Keeps all media in an image API's answer, as it came: of OpenAI's Images and Responses APIs, of Gemini and Imagen, of
 * Replicate's predictions, webhooks and `run`, of Runway's tasks. The same answer again gives the same assets. Where the source or the store
 * is failing an asset is `pending` and its `url` the original one.
 *
 * @example
 * const answer = await openai.images.generate({ model: 'dall-e-3', prompt })
 * const [kept] = await keepGenerated(keepsake, answer, { wallet, agent, model: 'dall-e-3', prompt })
 *
 * @throws {KeepsakeError} `invalid_source` where the answer holds no media; `invalid_request` where the model is not said.
 */
export async function keepGenerated(
  keepsake: Pick<Verbs, 'import'> | Pick<Keepsake, 'import' | 'as'>,
  response: unknown,
  by: GeneratedBy,
): Promise<readonly KeptGenerated[]> {
  const found = findImages(response)
  if (found.images.length > mostImages) {
    throw new KeepsakeError(
      'invalid_source',
      `The answer holds ${found.images.length} pieces of media. Allowed are ${mostImages}: keep them in turns.`,
    )
  }
  const model = by.model ?? found.model
  if (model === undefined) {
    throw new KeepsakeError('invalid_request', 'The answer does not name its model. Say it: { model }.')
  }
  const owner = by.owner ?? ('as' in keepsake ? bareWallet(by.wallet) : undefined)
  return Promise.all(
    found.images.map(async (image, index): Promise<KeptGenerated> => {
      try {
        const request = {
          source: image.source,
          attributes: { wallet: by.wallet, agent: by.agent, model },
          provenance: provenanceOf(found, image, model, by),
        }
        const asset = await keepsake.import(collectionName, {
          ...request,
          idempotencyKey: idempotencyKey(request, index, by),
          ...(owner === undefined ? {} : { owner }),
        })
        return { asset }
      } catch (error) {
        return { error: KeepsakeError.from(error), url: 'url' in image.source ? image.source.url : null }
      }
    }),
  )
}

/** Pieces of media in one answer, which are kept at the same time; image APIs give up to ten. */
const mostImages = 100
/** Characters of a prompt that provenance takes. */
const longestPrompt = 32_768

function provenanceOf(found: FoundImages, image: FoundImage, model: string, by: GeneratedBy): Provenance {
  const prompt = (by.prompt ?? found.prompt ?? image.prompt)?.slice(0, longestPrompt).toWellFormed()
  const settings = {
    ...by.settings,
    ...(image.prompt !== undefined && image.prompt !== prompt ? { revisedPrompt: image.prompt } : {}),
  }
  const requestId = by.requestId ?? found.requestId
  const seed = by.seed ?? found.seed
  return {
    provider: by.provider ?? found.provider,
    model,
    ...(prompt === undefined ? {} : { prompt }),
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
    ...(seed === undefined ? {} : { seed }),
    ...(requestId === undefined ? {} : { requestId }),
  }
}

/** By the request that made it, where that has a name; else by all that is said of it: another agent's is another one. */
function idempotencyKey(request: { readonly provenance: Provenance }, index: number, by: GeneratedBy): string {
  const { provider, requestId } = request.provenance
  const name = by.idempotencyKey ?? requestId
  const what = name === undefined ? ['content', request] : ['request', provider, name]
  return `generated-${createHash('sha256')
    .update(JSON.stringify([...what, index]))
    .digest('hex')}`
}
