import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { apiKey, gif, startTestServer, type TestServer } from '../../test/support/http.ts'
import { newAssetId } from '../media/index.ts'
import { problemOutput } from './schema.ts'

let server: TestServer
let asset: string
beforeAll(async () => {
  server = await startTestServer()
  const body = { source: { base64: gif.toString('base64') } }
  const made = await server.call('/v1/collections/generations/imports', { body })
  asset = String(Object(await made.json()).id)
})
afterAll(() => server.stop())

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    '\0',
    '%',
    '%00',
    '%zz',
    '%ff',
    '..',
    '../..',
    '//',
    ' ',
    '\u202e',
    '😀',
    '\ud800',
    "' or 1=1 --",
    '__proto__',
    'constructor',
    'NaN',
    '1e999',
    '-1',
    'null',
    '[]',
    '{}',
    'true',
  ),
)
const encoded = oddText.map((text) => encodeURIComponent(text.toWellFormed()))
const raw = oddText.map((text) => text.toWellFormed().replace(/[\s#?\\]/g, '%'))
const segment = fc.oneof(
  encoded,
  raw,
  fc.constantFrom(
    'v1',
    'assets',
    'collections',
    'generations',
    'imports',
    'content',
    'urls',
    'audit',
    'docs',
    'metrics',
    'readyz',
  ),
  fc.constant(null).map(() => asset),
  fc.constant(null).map(() => newAssetId()),
)
const path = fc.oneof(
  fc.array(segment, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`),
  segment.map((id) => `/v1/assets/${id}`),
  segment.map((id) => `/v1/assets/${id}/content`),
  segment.map((name) => `/v1/collections/${name}/assets`),
  segment.map((name) => `/v1/collections/${name}/imports`),
  fc.constantFrom('/v1/collections/generations/assets', '/v1/collections/generations/imports', '/v1/urls', '/v1/audit'),
)
const names = fc.constantFrom(
  'owner',
  'kind',
  'state',
  'from',
  'to',
  'limit',
  'cursor',
  'attributes.model',
  'attributes.__proto__',
  'variant',
  'download',
  'expiresIn',
  'asset',
)
const query = fc
  .array(
    fc.tuple(
      fc.oneof(names, encoded),
      fc.oneof(
        encoded,
        raw,
        fc.constant(null).map(() => asset),
      ),
    ),
    { maxLength: 4 },
  )
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`))

const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    oddText,
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.oneof(oddText, fc.constantFrom('source', 'url', 'base64', 'owner', 'id', 'settings')),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value
const source = fc.record(
  {
    url: fc.oneof(oddText, json),
    dataUri: fc.oneof(
      oddText.map((text) => `data:${text}`),
      json,
    ),
    base64: fc.oneof(oddText, fc.constant(gif.toString('base64')), json),
    expiresAt: fc.oneof(json, fc.constant('2030-01-01T00:00:00Z')),
  },
  { requiredKeys: [] },
)
const body = fc.oneof(
  json.map((value) => JSON.stringify(value) ?? ''),
  oddText,
  fc
    .record(
      {
        source: fc.oneof(source, fc.constant({ base64: gif.toString('base64') })),
        owner: fc.oneof(oddText, json),
        attributes: fc.oneof(
          fc.dictionary(fc.oneof(oddText, fc.constantFrom('model', 'wallet')), oddText, { maxKeys: 3 }),
          json,
        ),
        provenance: fc.oneof(
          fc.record({ settings: json, prompt: oddText, seed: json, parents: json }, { requiredKeys: [] }),
          json,
        ),
        filename: oddText,
      },
      { requiredKeys: ['source'] },
    )
    .map((value) => JSON.stringify(value)),
  fc
    .record(
      {
        assets: fc.array(
          fc.record(
            {
              id: fc.oneof(
                oddText,
                fc.constant(null).map(() => asset),
              ),
              variant: oddText,
            },
            { requiredKeys: ['id'] },
          ),
          { maxLength: 3 },
        ),
        expiresIn: json,
      },
      { requiredKeys: ['assets'] },
    )
    .map((value) => JSON.stringify(value)),
)
const headerText = oddText.map((text) => text.replace(/[^\x20-\x7e\x80-\xff]/g, ''))
const headers = fc.record(
  {
    'content-type': fc.oneof({ weight: 4, arbitrary: fc.constant('application/json') }, headerText),
    'idempotency-key': headerText,
    'x-request-id': headerText,
    authorization: fc.oneof(
      { weight: 6, arbitrary: fc.constant(`Bearer ${apiKey}`) },
      headerText,
      headerText.map((text) => `Bearer ${text}`),
    ),
    'x-forwarded-for': headerText,
    range: headerText,
    accept: headerText,
  },
  { requiredKeys: ['authorization'] },
)
const method = fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD', 'PUT', 'PATCH', 'OPTIONS')

it('no request, however odd, is answered with a 500, and every refusal is a problem', async () => {
  await fc.assert(
    fc.asyncProperty(method, path, query, headers, body, async (verb, where, asked, sent, text) => {
      const hasBody = verb !== 'GET' && verb !== 'HEAD'
      const response = await fetch(`${server.url}${where}${asked}`, {
        method: verb,
        redirect: 'manual',
        headers: sent,
        ...(hasBody ? { body: text.toWellFormed() } : {}),
      })
      const answer = await response.text()
      expect(response.status, answer).toBeLessThan(500)
      if (response.status < 400 || verb === 'HEAD') return
      const problem = problemOutput.parse(JSON.parse(answer))
      expect(problem).toMatchObject({ status: response.status, requestId: response.headers.get('x-request-id') })
    }),
    { numRuns: 1500 },
  )
}, 120_000)
