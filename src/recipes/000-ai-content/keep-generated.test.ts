/** What image APIs answer, as it comes, into kept assets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RecipeServer, startRecipe } from '../../../test/support/recipe.ts'
import { type SourceServer, startSourceServer } from '../../../test/support/source-server.ts'
import type { Asset } from '../../index.ts'
import { imageSample, trackSample } from '../../intake/testing/index.ts'
import { aiContent, type GeneratedBy, keepGenerated } from './index.ts'

const by = { wallet: '0xABCD', agent: 'agent-1' } satisfies GeneratedBy
let source: SourceServer
let server: RecipeServer
let png: string
let webp: string

beforeAll(async () => {
  source = await startSourceServer()
  server = await startRecipe({
    extension: aiContent(),
    env: { S3_BUCKET_NAME: 'burnie-content-storage', KEEPSAKE_IMPORT_ALLOW_HOSTS: source.host },
  })
  png = (await imageSample('png')).toString('base64')
  webp = (await imageSample('webp')).toString('base64')
})
afterAll(async () => {
  await server?.stop()
  await source?.close()
})

async function keep(answer: unknown, more: Partial<GeneratedBy> = {}): Promise<Asset[]> {
  const kept = await keepGenerated(server.keepsake, answer, { ...by, ...more })
  return kept.map((one) => {
    if ('asset' in one) return one.asset
    throw one.error
  })
}

/** A way in which an API spells its answer, with a picture and (where it has several) another one. */
const answers: Record<string, () => { answer: unknown; types: string[]; provenance: object }> = {
  'OpenAI images by URL': () => ({
    answer: {
      created: 1_700_000_000,
      data: [
        { url: source.url('/picture.png'), revised_prompt: 'a red fox at dusk' },
        { url: source.url('/picture.png?2') },
      ],
    },
    types: ['image/png', 'image/png'],
    provenance: {
      provider: 'openai',
      model: 'dall-e-3',
      prompt: 'a fox',
      settings: { revisedPrompt: 'a red fox at dusk' },
    },
  }),
  'OpenAI images by base64': () => ({
    answer: {
      created: 1,
      data: [{ b64_json: webp }, { b64_json: png }],
      usage: { total_tokens: 5 },
      output_format: 'webp',
    },
    types: ['image/webp', 'image/png'],
    provenance: { provider: 'openai', model: 'dall-e-3', prompt: 'a fox' },
  }),
  'OpenAI responses': () => ({
    answer: {
      object: 'response',
      id: 'resp_1',
      model: 'gpt-4o',
      output: [
        { type: 'reasoning', id: 'rs_1', summary: [] },
        { type: 'image_generation_call', id: 'ig_1', status: 'completed', result: png, revised_prompt: 'a fox' },
        { type: 'message', id: 'msg_1', content: [{ type: 'output_text', text: 'Here.' }] },
      ],
    },
    types: ['image/png'],
    provenance: { provider: 'openai', model: 'dall-e-3', prompt: 'a fox', requestId: 'resp_1' },
  }),
  'Gemini by the SDK': () => ({
    answer: {
      candidates: [
        {
          content: {
            role: 'model',
            parts: [
              { text: 'Here is your picture' },
              { inlineData: { mimeType: 'image/png', data: webp }, thought: true },
              { inlineData: { mimeType: 'image/png', data: png } },
            ],
          },
          finishReason: 'STOP',
        },
      ],
      modelVersion: 'gemini-2.5-flash-image',
      responseId: 'gem-1',
    },
    types: ['image/png'],
    provenance: { provider: 'google', requestId: 'gem-1' },
  }),
  'Gemini by Python': () => ({
    answer: {
      candidates: [{ content: { parts: [{ inline_data: { mime_type: 'image/webp', data: webp } }] } }],
      response_id: 'gem-2',
    },
    types: ['image/webp'],
    provenance: { provider: 'google', requestId: 'gem-2' },
  }),
  'Imagen by the SDK': () => ({
    answer: {
      generatedImages: [{ image: { imageBytes: png, mimeType: 'image/png' } }, { raiFilteredReason: 'people' }],
    },
    types: ['image/png'],
    provenance: { provider: 'google' },
  }),
  'Imagen by Python': () => ({
    answer: { generated_images: [{ image: { image_bytes: webp, mime_type: 'image/webp' } }] },
    types: ['image/webp'],
    provenance: { provider: 'google' },
  }),
  'Imagen by predict': () => ({
    answer: { predictions: [{ bytesBase64Encoded: png, mimeType: 'image/png' }, { bytesBase64Encoded: webp }] },
    types: ['image/png', 'image/webp'],
    provenance: { provider: 'google' },
  }),
  'a Replicate prediction': () => ({
    answer: {
      id: 'gm3qorzdhgbfurvjtvhg6dckhu',
      model: 'black-forest-labs/flux-schnell',
      version: 'hidden',
      input: { prompt: 'a fox', seed: 42, num_outputs: 2 },
      output: [source.url('/picture.png?a'), source.url('/film.mp4?b')],
      status: 'succeeded',
      error: null,
      urls: { get: 'https://api.replicate.com/v1/predictions/gm3q' },
    },
    types: ['image/png', 'video/mp4'],
    provenance: { provider: 'replicate', prompt: 'a fox', seed: 42, requestId: 'gm3qorzdhgbfurvjtvhg6dckhu' },
  }),
  'a Replicate prediction of one file': () => ({
    answer: { id: 'p2', status: 'succeeded', input: {}, output: `data:image/png;base64,${png}`, error: null },
    types: ['image/png'],
    provenance: { provider: 'replicate', requestId: 'p2' },
  }),
  'a Replicate prediction without what it may leave out': () => ({
    answer: { id: 'p3', status: 'succeeded', input: {}, output: [source.url('/picture.png?short')] },
    types: ['image/png'],
    provenance: { provider: 'replicate', requestId: 'p3' },
  }),
  'a Runway task': () => ({
    answer: {
      id: 'd2e3d1f4-1b3c-4b5c-8d46-1c1d7ee86892',
      status: 'SUCCEEDED',
      createdAt: '2024-06-27T19:49:32.334Z',
      output: [source.url('/film.mp4?runway')],
    },
    types: ['video/mp4'],
    provenance: { provider: 'runway', requestId: 'd2e3d1f4-1b3c-4b5c-8d46-1c1d7ee86892' },
  }),
  'what Replicate’s run gives': () => ({
    answer: [Object.assign(new ReadableStream(), { url: () => new URL(source.url('/picture.png?run')) })],
    types: ['image/png'],
    provenance: { provider: 'replicate' },
  }),
}

describe('keepGenerated', () => {
  it.each(Object.keys(answers))('keeps %s', async (name) => {
    const { answer, types, provenance } = answers[name]?.() ?? { answer: null, types: [], provenance: {} }
    const assets = await keep(answer, { model: 'dall-e-3', prompt: 'a fox' })
    expect(assets.map(({ contentType }) => contentType)).toEqual(types)
    expect(assets[0]).toMatchObject({
      state: 'stored',
      owner: 'abcd',
      attributes: { wallet: 'abcd', agent: 'agent-1', model: 'dall-e-3' },
      provenance,
    })
    const again = await keep(answers[name]?.().answer, { model: 'dall-e-3', prompt: 'a fox' })
    expect(again.map(({ id }) => id)).toEqual(assets.map(({ id }) => id))
  })

  it('takes the model that the answer names, and asks for one where it names none', async () => {
    const film = (await trackSample('mp4')).toString('base64')
    const [asset] = await keep({
      candidates: [{ content: { parts: [{ inlineData: { mimeType: 'video/mp4', data: film } }] } }],
      modelVersion: 'veo-3',
      responseId: 'gem-9',
    })
    expect(asset?.key).toMatch(/^ai-generated\/abcd\/agent-1\/videos\/veo-3\//)
    await expect(keep({ data: [{ b64_json: png }] })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('keeps for a user what it makes', async () => {
    const ada = server.keepsake.as({ role: 'user', owner: 'ada' })
    const [kept] = await keepGenerated(ada, { data: [{ b64_json: png }] }, { ...by, model: 'gpt-image-1' })
    expect(kept).toMatchObject({ asset: { owner: 'ada', state: 'stored' } })
  })

  it('tells of each picture what became of it; one that fails does not take the others along', async () => {
    const dead = source.url('/status/404')
    const kept = await keepGenerated(
      server.keepsake,
      { data: [{ url: dead }, { b64_json: png }, { url: 'http://10.0.0.1/x.png' }] },
      { ...by, model: 'dall-e-3', idempotencyKey: 'mixed' },
    )
    expect(kept).toMatchObject([
      { error: { code: 'source_gone' }, url: dead },
      { asset: { state: 'stored' } },
      { error: { code: 'source_forbidden' }, url: 'http://10.0.0.1/x.png' },
    ])
  })

  it('gives the original URL while the bucket is down', async () => {
    const url = source.url('/picture.png?down')
    const kept = await server.withoutBucket(() =>
      keepGenerated(server.keepsake, { data: [{ url }] }, { ...by, model: 'dall-e-3' }),
    )
    expect(kept).toMatchObject([{ asset: { state: 'pending', url, urlSource: 'origin' } }])
  })

  it.each([
    [
      'a prediction that goes on',
      "prediction is 'processing'",
      { id: 'p', status: 'processing', input: {}, output: null },
    ],
    [
      'a prediction that has begun',
      "prediction is 'starting'",
      { id: 'p', status: 'starting', input: {}, error: null },
    ],
    ['a task that goes on', "task is 'RUNNING'", { id: 't', status: 'RUNNING', createdAt: '2024-06-27T19:49:32Z' }],
    ['an answer that was filtered', 'no media', { candidates: [{ finishReason: 'IMAGE_SAFETY' }] }],
    ['an answer without pictures', 'no media', { object: 'response', id: 'r', model: 'gpt-4o', output: [] }],
    ['an error', 'no known shape', { error: { message: 'rate limited', type: 'requests' } }],
    ['a text', 'no known shape', 'a fox'],
    ['nothing', 'no known shape', null],
  ])('says what is wrong with %s', async (_, said, answer) => {
    const message = expect.stringContaining(said)
    await expect(keep(answer, { model: 'x' })).rejects.toMatchObject({ code: 'invalid_source', message })
  })
})

describe('POST /api/s3/keep-generated, for backends in any language', () => {
  const call = (response: unknown, more: object = {}, token?: string) =>
    server.call(
      '/api/s3/keep-generated',
      { response, wallet_address: '0xABCD', agent_id: 'agent-1', model_name: 'a-model', ...more },
      token === undefined ? {} : { token },
    )
  const gemini = () => ({
    candidates: [{ content: { parts: [{ inlineData: { mimeType: 'image/png', data: png } }] } }],
  })
  type Kept = { status: string; results: { presigned_url: string; s3_key: string }[] }

  it.each([
    ['OpenAI', () => ({ created: 1, data: [{ url: source.url('/picture.png?http') }, { b64_json: webp }] }), 2],
    ['Gemini', gemini, 1],
    [
      'Replicate',
      () => ({ id: 'http1', status: 'succeeded', input: {}, output: [source.url('/picture.png?replicate')] }),
      1,
    ],
  ])('keeps what %s answers', async (_, answer, count) => {
    const { status, json } = await call(answer(), { prompt: 'a fox' })
    const { results } = json as Kept
    expect([status, json]).toEqual([
      200,
      {
        status: 'success',
        bucket: 'burnie-content-storage',
        results: Array.from({ length: count }, () => ({
          status: 'success',
          presigned_url: expect.stringContaining('X-Amz-Signature'),
          s3_key: expect.stringMatching(/^ai-generated\/abcd\/agent-1\/images\/a-model\//),
          content_type: expect.stringMatching(/^image\/(png|webp)$/),
          file_size: expect.any(Number),
          expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
          expires_in_seconds: 3600,
        })),
      },
    ])
    for (const { presigned_url } of results) expect((await fetch(presigned_url)).status).toBe(200)
    // The same answer again is the same.
    const again = (await call(answer(), { prompt: 'a fox' })).json as Kept
    expect(again.results.map(({ s3_key }) => s3_key)).toEqual(results.map(({ s3_key }) => s3_key))
    const asset = await server.keepsake.getByKey(results[0]?.s3_key ?? '')
    expect(asset).toMatchObject({ owner: 'abcd', provenance: { prompt: 'a fox', model: 'a-model' } })
  })

  it('keeps it for the user whose token it is', async () => {
    const { json } = await call(gemini(), {}, await server.token('ada'))
    const key = (json as Kept).results[0]?.s3_key ?? ''
    expect(await server.keepsake.getByKey(key)).toMatchObject({ owner: 'ada' })
  })

  it('tells of each what became of it, and fails where nothing of it is kept', async () => {
    const gone = { url: source.url('/status/404') }
    expect(await call({ data: [{ b64_json: png }, gone] })).toMatchObject({
      status: 200,
      json: {
        status: 'partial',
        results: [{ status: 'success' }, { status: 'failed', original_url: gone.url, code: 'source_gone' }],
      },
    })
    expect(await call({ data: [gone] })).toMatchObject({ status: 422, json: { status: 'failed', code: 'source_gone' } })
  })

  it.each([
    ['an unknown answer', { pictures: [] }, {}, 'invalid_source', 'known shape'],
    ['no media', { data: [] }, {}, 'invalid_source', 'no media'],
    ['too many', { data: Array.from({ length: 101 }, () => ({ b64_json: 'x' })) }, {}, 'invalid_source', '100'],
    ['no model', { data: [{ b64_json: 'x' }] }, { model_name: undefined }, 'invalid_request', 'model'],
    ['no wallet', { data: [{ b64_json: 'x' }] }, { wallet_address: undefined }, 'invalid_request', 'wallet_address'],
  ])('refuses %s', async (_, answer, more, code, said) => {
    expect(await call(answer, more)).toMatchObject({
      status: 400,
      json: { status: 'failed', code, error: expect.stringContaining(said) },
    })
  })

  it('gives the original URL while the bucket is down', async () => {
    const url = source.url('/picture.png?down')
    const { status, json, headers } = await server.withoutBucket(() => call({ data: [{ url }] }))
    expect([status, json]).toMatchObject([
      202,
      { status: 'pending', results: [{ status: 'pending', presigned_url: url, asset_id: expect.any(String) }] },
    ])
    expect(headers.get('retry-after')).toBe('5')
  })
})
