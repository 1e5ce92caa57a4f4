import { html } from 'hono/html'
import { z } from 'zod'
import { page, prose } from './layout.ts'

/**
 * The readable face of /openapi.json. It reads the document as any client would, so what is shown is what is promised.
 */

type Schema = {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly minimum?: number
  readonly maximum?: number
}

const schema: z.ZodType<Schema> = z.lazy(() =>
  z.looseObject({
    $ref: z.string().optional(),
    type: z.union([z.string(), z.array(z.string())]).optional(),
    format: z.string().optional(),
    description: z.string().optional(),
    enum: z.array(z.unknown()).optional(),
    properties: z.record(z.string(), schema).optional(),
    required: z.array(z.string()).optional(),
    items: schema.optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
  }),
)

const content = z.record(z.string(), z.looseObject({ schema: schema.optional() }))

const operation = z.looseObject({
  operationId: z.string().optional(),
  summary: z.string().optional(),
  description: z.string().optional(),
  tags: z.array(z.string()).optional(),
  security: z.array(z.unknown()).optional(),
  parameters: z
    .array(
      z.looseObject({
        name: z.string(),
        in: z.string(),
        required: z.boolean().optional(),
        description: z.string().optional(),
        schema: schema.optional(),
      }),
    )
    .optional(),
  requestBody: z.looseObject({ content }).optional(),
  responses: z.record(z.string(), z.looseObject({ description: z.string().optional(), content: content.optional() })),
})

const openApi = z.looseObject({
  info: z.looseObject({ title: z.string(), version: z.string(), description: z.string().optional() }),
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ schemas: z.record(z.string(), schema).optional() }).optional(),
})

type Call = z.output<typeof operation> & { readonly method: string; readonly path: string; readonly id: string }

/**
 * The page for an OpenAPI 3.1 document. Targets of links lie inside their `<details>`, which a browser then opens (HTML,
 * "ancestor details revealing algorithm").
 */
export function apiPage(document: unknown, options: { readonly example: string }) {
  const { info, paths, components } = openApi.parse(document)
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, entry]): Call => {
      return { ...entry, path, method: method.toUpperCase(), id: entry.operationId ?? `${method}-${path}` }
    }),
  )
  const groups = [...new Set(calls.map(groupOf))]
  const schemas = Object.entries(components?.schemas ?? {}).filter(([, entry]) => entry.properties !== undefined)
  return page(
    info.title,
    html`
<header>
<h1>${info.title} <span class="soft">${info.version}</span></h1>
${(info.description ?? '').split('\n\n').map((paragraph) => html`<p>${prose(paragraph)}</p>`)}
<pre><code>${options.example}</code></pre>
<nav aria-label="Contents"><ul>
${groups.map((group) => html`<li><a href="#${anchor(group)}">${group}</a></li>`)}
<li><a href="#schemas">Schemas</a></li>
<li><a href="/docs/errors">Errors</a></li>
<li><a href="/openapi.json">openapi.json</a></li>
</ul></nav>
</header>
<main>
${groups.map(
  (group) => html`
<h2 id="${anchor(group)}">${group}</h2>
${calls.filter((call) => groupOf(call) === group).map(callDetails)}`,
)}
<h2 id="schemas">Schemas</h2>
${schemas.map(([name, entry]) => html`<details><summary><h3>${name}</h3></summary><div id="schema-${name}">${fields(entry)}</div></details>`)}
</main>
<footer></footer>`,
  )
}

function groupOf(call: Call): string {
  return call.tags?.[0] ?? 'Other'
}

function anchor(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, '-')
}

function callDetails(call: Call) {
  const body = Object.values(call.requestBody?.content ?? {})[0]?.schema
  return html`
<details id="${call.id}">
<summary><span class="method">${call.method}</span><span class="path">${call.path}</span><span class="soft">${call.summary ?? ''}</span></summary>
${call.description ? html`<p>${prose(call.description)}</p>` : ''}
${call.security ? '' : html`<p class="soft">Open to everybody.</p>`}
${(call.parameters ?? []).length === 0 ? '' : parameters(call)}
${body ? html`<h4>Body</h4>${body.properties ? fields(body) : html`<p>${typeName(body)}</p>`}` : ''}
<h4>Answers</h4>
<div class="table"><table><tbody>
${Object.entries(call.responses).map(
  ([status, response]) =>
    html`<tr><td>${status}</td><td>${prose(response.description ?? '')}</td><td>${Object.values(
      response.content ?? {},
    ).map((entry) => (entry.schema ? typeName(entry.schema) : ''))}</td></tr>`,
)}
</tbody></table></div>
</details>`
}

function parameters(call: Call) {
  return html`<h4>Parameters</h4>
<div class="table"><table><thead><tr><th scope="col">Name</th><th scope="col">In</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead><tbody>
${(call.parameters ?? []).map(
  (parameter) =>
    html`<tr><td><code>${parameter.name}</code></td><td>${parameter.in}</td><td>${
      parameter.schema ? typeName(parameter.schema) : ''
    }</td><td>${prose(parameter.description ?? parameter.schema?.description ?? '')}${
      parameter.required ? html` <span class="soft">required</span>` : ''
    }</td></tr>`,
)}
</tbody></table></div>`
}

function fields(entry: Schema) {
  return html`${entry.description ? html`<p>${prose(entry.description)}</p>` : ''}
<div class="table"><table><thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead><tbody>
${Object.entries(entry.properties ?? {}).map(
  ([name, field]) =>
    html`<tr><td><code>${name}</code></td><td>${typeName(field)}</td><td>${prose(field.description ?? '')}${
      entry.required?.includes(name) ? '' : html` <span class="soft">optional</span>`
    }</td></tr>`,
)}
</tbody></table></div>`
}

function typeName(entry: Schema): ReturnType<typeof html> {
  if (entry.$ref) {
    const name = entry.$ref.split('/').at(-1) ?? ''
    return html`<a href="#schema-${name}">${name}</a>`
  }
  if (entry.items) return html`${typeName(entry.items)}[]`
  if (entry.enum && entry.enum.length <= 8) return html`${entry.enum.filter((value) => value !== null).join(' | ')}`
  const name = [entry.type ?? 'any'].flat().join(' | ')
  const range = entry.maximum === undefined ? '' : ` ${entry.minimum ?? 0}–${entry.maximum}`
  return html`${entry.format ?? name}${range}`
}
