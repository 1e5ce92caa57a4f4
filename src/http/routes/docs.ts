import type { OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import type { HttpEnv } from '../env.ts'
import { apiPage } from '../pages/api-page.ts'
import { errorsPage } from '../pages/errors-page.ts'
import { pagePolicy } from '../pages/layout.ts'

const description = [
  'Media storage for apps whose users and models make images, audio and video: kept in S3, catalogued in Postgres, given back by signed links.',
  'Send `Authorization: Bearer` with an API key (acts for any owner) or a JWT (acts for its `sub`). ' +
    'Errors are problem documents (RFC 9457) with a stable `code`. Send an `X-Request-Id` to find a request in the log again.',
].join('\n\n')

const example = `curl http://localhost:8000/v1/collections/generations/imports \\
  -H "Authorization: Bearer $KEEPSAKE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"source": {"url": "https://provider.example/output.png"}}'`

/**
 * Adds the document and its pages. Last, so that every other route is in the document.
 *
 * @throws `invalid_setting` where two routes, an extension's among them, have one operationId.
 */
export function addDocsRoutes(app: OpenAPIHono<HttpEnv>, version: string): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key or a JWT.',
  })
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Keepsake HTTP API', version, description, license: { name: 'MIT' } },
    servers: [{ url: '/' }],
  })
  refuseTwins(document.paths)
  const documentText = JSON.stringify(document)
  const docs = String(apiPage(JSON.parse(documentText), { example }))
  const errors = String(errorsPage())

  const pageHeaders = { 'content-security-policy': pagePolicy, 'cache-control': 'public, max-age=300' }
  app.get('/openapi.json', (c) => c.body(documentText, 200, { 'content-type': 'application/json' }))
  app.get('/docs', (c) => c.html(docs, 200, pageHeaders))
  app.get('/docs/errors', (c) => c.html(errors, 200, pageHeaders))
  app.get('/', (c) => c.redirect('/docs', 302))
}

const operations = z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string().optional() })))

/** Clients are generated from the document: "The id MUST be unique among all operations" (OpenAPI 3.1, 4.8.10). */
function refuseTwins(paths: unknown): void {
  const places = new Map<string, string>()
  for (const [path, methods] of Object.entries(operations.parse(paths ?? {}))) {
    for (const [method, { operationId }] of Object.entries(methods)) {
      if (operationId === undefined) continue
      const place = `${method.toUpperCase()} ${path}`
      const other = places.get(operationId)
      if (other !== undefined) {
        throw new KeepsakeError(
          'invalid_setting',
          `${other} and ${place} have one operationId, '${operationId}'. Each route of an extension needs one of its own.`,
        )
      }
      places.set(operationId, place)
    }
  }
}
