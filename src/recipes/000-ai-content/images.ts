import { z } from 'zod'
import { type ImportSource, KeepsakeError } from '../../index.ts'

/** One piece of media in an image API's answer, and what the answer says of it. */
export type FoundImage = {
  readonly source: ImportSource
  /** As the model understood it, where the API says so. */
  readonly prompt?: string | undefined
}

/** What an answer holds. */
export type FoundImages = {
  readonly provider: 'openai' | 'google' | 'replicate' | 'runway'
  readonly model?: string | undefined
  readonly requestId?: string | undefined
  readonly prompt?: string | undefined
  readonly seed?: string | number | undefined
  readonly images: readonly FoundImage[]
}

/*
 * Only what is needed is described, and whatever else an API says is let be: they add fields without notice. The shapes
 * are those of the HTTP APIs and of the SDKs, which spell some names the other way (snake or camel case).
 */

const url = z.string().min(1)
const base64 = z.string().min(1)

/** OpenAI, `POST /v1/images/generations` and edits; many others answer the same. */
const openAiImages = z
  .looseObject({
    data: z.array(
      z.looseObject({ url: url.nullish(), b64_json: base64.nullish(), revised_prompt: z.string().nullish() }),
    ),
    id: z.string().nullish(),
    model: z.string().nullish(),
  })
  .transform(
    ({ data, id, model }): FoundImages => ({
      provider: 'openai',
      ...present({ requestId: id, model }),
      images: data.flatMap((image) => {
        const source = image.b64_json ? { base64: image.b64_json } : image.url ? fromUrl(image.url) : undefined
        return source ? [{ source, ...present({ prompt: image.revised_prompt }) }] : []
      }),
    }),
  )

const openAiCall = z.looseObject({
  type: z.literal('image_generation_call'),
  result: base64,
  revised_prompt: z.string().nullish(),
})

/** OpenAI, `POST /v1/responses` with the tool `image_generation`. */
const openAiResponse = z
  .looseObject({
    object: z.literal('response'),
    id: z.string(),
    model: z.string().nullish(),
    output: z.array(z.unknown()),
  })
  .transform(
    ({ id, model, output }): FoundImages => ({
      provider: 'openai',
      requestId: id,
      ...present({ model }),
      images: output.flatMap((item) => {
        const call = openAiCall.safeParse(item)
        if (!call.success) return []
        return [{ source: { base64: call.data.result }, ...present({ prompt: call.data.revised_prompt }) }]
      }),
    }),
  )

const inline = z.looseObject({ data: base64 })
const geminiPart = z.looseObject({
  inlineData: inline.nullish(),
  inline_data: inline.nullish(),
  // A draft of a model that thinks in pictures: not what was asked for.
  thought: z.boolean().nullish(),
})

/** Google, `models.generateContent`. */
const geminiContent = z
  .looseObject({
    candidates: z.array(z.looseObject({ content: z.looseObject({ parts: z.array(geminiPart).nullish() }).nullish() })),
    responseId: z.string().nullish(),
    response_id: z.string().nullish(),
    modelVersion: z.string().nullish(),
    model_version: z.string().nullish(),
  })
  .transform(
    ({ candidates, ...rest }): FoundImages => ({
      provider: 'google',
      ...present({ requestId: rest.responseId ?? rest.response_id, model: rest.modelVersion ?? rest.model_version }),
      images: candidates
        .flatMap(({ content }) => content?.parts ?? [])
        .flatMap(({ inlineData, inline_data, thought }) => {
          const data = (inlineData ?? inline_data)?.data
          return data === undefined || thought === true ? [] : [{ source: { base64: data } }]
        }),
    }),
  )

const imagenImage = z.looseObject({
  image: z.looseObject({ imageBytes: base64.nullish(), image_bytes: base64.nullish() }).nullish(),
  enhancedPrompt: z.string().nullish(),
})

/** Google, `models.generateImages` of the SDKs (Imagen). */
const imagenImages = z
  .union([
    z.looseObject({ generatedImages: z.array(imagenImage) }).transform((answer) => answer.generatedImages),
    z.looseObject({ generated_images: z.array(imagenImage) }).transform((answer) => answer.generated_images),
  ])
  .transform(
    (found): FoundImages => ({
      provider: 'google',
      images: found.flatMap(({ image, enhancedPrompt }) => {
        const data = image?.imageBytes ?? image?.image_bytes
        return data ? [{ source: { base64: data }, ...present({ prompt: enhancedPrompt }) }] : []
      }),
    }),
  )

/** Google, `:predict` of Imagen on Vertex AI and the Gemini API. */
const imagenPredictions = z
  .looseObject({
    predictions: z.array(z.looseObject({ bytesBase64Encoded: base64.nullish(), prompt: z.string().nullish() })),
  })
  .transform(
    ({ predictions }): FoundImages => ({
      provider: 'google',
      // One that the safety filter took has no bytes.
      images: predictions.flatMap(({ bytesBase64Encoded, prompt }) =>
        bytesBase64Encoded ? [{ source: { base64: bytesBase64Encoded }, ...present({ prompt }) }] : [],
      ),
    }),
  )

/** What Replicate's SDK gives for a file: a stream that knows its address. */
const fileOutput = z.custom<{ url(): unknown }>(
  (given) => typeof given === 'object' && given !== null && 'url' in given && typeof given.url === 'function',
)
const replicateFile = z.union([
  url.refine((text) => /^(https?:|data:)/i.test(text)).transform(fromUrl),
  fileOutput.transform((file) => fromUrl(String(file.url()))),
])
const replicateOutput = z.union([replicateFile.transform((file) => [file]), z.array(replicateFile)])

/** Replicate, a prediction by its HTTP API or a webhook. */
const replicatePrediction = z
  .looseObject({
    id: z.string(),
    status: z.string(),
    model: z.string().nullish(),
    input: z.looseObject({
      prompt: z.string().optional().catch(undefined),
      seed: z.number().optional().catch(undefined),
    }),
    // Not there before there is some.
    output: z.unknown().optional(),
  })
  .transform((prediction): FoundImages => {
    const { id, status, model, input } = prediction
    requireSucceeded('prediction', status)
    return {
      provider: 'replicate',
      requestId: id,
      ...present({ model, prompt: input.prompt, seed: input.seed }),
      images: (replicateOutput.safeParse(prediction.output).data ?? []).map((source) => ({ source })),
    }
  })

/** Runway, `GET /v1/tasks/{id}`: as a prediction, without its input. */
const runwayTask = z
  .looseObject({ id: z.string(), status: z.string(), createdAt: z.string(), output: z.array(url).nullish() })
  .transform(({ id, status, output }): FoundImages => {
    requireSucceeded('task', status)
    return { provider: 'runway', requestId: id, images: (output ?? []).map((text) => ({ source: fromUrl(text) })) }
  })

function requireSucceeded(what: string, status: string): void {
  if (status.toLowerCase() === 'succeeded') return
  throw new KeepsakeError(
    'invalid_source',
    `The ${what} is '${status.slice(0, 50)}'. Keep it once it has succeeded; a webhook says when.`,
  )
}

/** What `replicate.run` gives: the output alone. */
const replicateRun = replicateOutput.transform(
  (files): FoundImages => ({ provider: 'replicate', images: files.map((source) => ({ source })) }),
)

const shapes = [
  openAiResponse,
  openAiImages,
  geminiContent,
  imagenImages,
  imagenPredictions,
  replicatePrediction,
  runwayTask,
  replicateRun,
] as const

/**
 * The media in an image API's answer, as it came.
 *
 * @throws {KeepsakeError} `invalid_source` where it is none of the known shapes, or holds no media.
 */
export function findImages(response: unknown): FoundImages {
  for (const shape of shapes) {
    const parsed = shape.safeParse(response)
    if (!parsed.success) continue
    if (parsed.data.images.length > 0) return parsed.data
    throw new KeepsakeError('invalid_source', `The answer of ${parsed.data.provider} holds no media; it may say why.`)
  }
  throw new KeepsakeError(
    'invalid_source',
    'The answer is of no known shape. Known are OpenAI’s (data, output), Google’s (candidates, generatedImages, ' +
      'predictions), Replicate’s and Runway’s (output). Import its URL or base64 by keepsake.import.',
  )
}

function fromUrl(text: string): ImportSource {
  return /^data:/i.test(text) ? { dataUri: text } : { url: text }
}

type Present<T> = { [Name in keyof T]?: NonNullable<T[Name]> }

function present<T extends object>(values: T): Present<T> {
  const result: Present<T> = {}
  for (const name in values) {
    const value = values[name]
    if (value !== null && value !== undefined) result[name] = value
  }
  return result
}
