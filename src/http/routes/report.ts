import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { mediaKinds } from '../../media/index.ts'
import { type Report, type ReportFigures, type ReportRequest, reportCsv } from '../../upkeep/index.ts'
import { type HttpEnv, refuseOtherOwner } from '../env.ts'
import { replicaJson, replicaOutput } from '../replica-json.ts'
import { cursorText, limitText, ownerText, strict, timestampText } from '../schema.ts'
import { bearer, commonProblems, problem } from './contract.ts'

const bytes = z.int().openapi({ description: 'Bytes.', example: 482_133 })
const dollars = z.number().openapi({ description: 'US dollars a month.', example: 1.15 })

const figures = {
  objects: z.int().openapi({ description: 'Stored assets.' }),
  bytes,
  pending: z.int(),
  failed: z.int(),
  missing: z.int().openapi({ description: 'Stored assets whose object was found missing.' }),
  corrupt: z.int().openapi({ description: 'Stored assets whose object was found with other bytes.' }),
  growth: z
    .strictObject({ added: z.int(), addedBytes: bytes, removed: z.int(), removedBytes: bytes })
    .optional()
    .openapi({ description: 'With `by=month` or `day`: what was stored and deleted then, whatever is left of it.' }),
  month: z
    .strictObject({
      puts: z.number(),
      gets: z.number(),
      egress: z.number().openapi({ description: 'Bytes sent to the internet.' }),
      cost: z.strictObject({
        storage: dollars,
        requests: dollars.nullable(),
        egress: dollars.nullable(),
        total: dollars.openapi({ description: 'Of what is known: a price that is not is null, and left out.' }),
      }),
    })
    .optional()
    .openapi({ description: 'With `prices`: a month’s requests, estimated or as given, and what all of it costs.' }),
}

const reportOutput = z
  .strictObject({
    at: z.string().openapi({ format: 'date-time' }),
    by: z.string().nullable(),
    rows: z.array(
      z.strictObject({
        name: z
          .string()
          .nullable()
          .openapi({ description: 'null: without the attribute, or without a kind so far.', example: 'ada' }),
        ...figures,
      }),
    ),
    groups: z.int().openapi({ description: 'Rows on all pages.' }),
    total: z.strictObject(figures).openapi({ description: 'Over all rows of all pages.' }),
    nextCursor: z.string().nullable().openapi({ description: 'null on the last page.' }),
    replica: replicaOutput.nullable().openapi({ description: 'The copy elsewhere; null without one, and for a JWT.' }),
    prices: z
      .strictObject({
        id: z.string().openapi({ example: 'aws:us-east-1' }),
        name: z.string(),
        storageClass: z.string(),
        asOf: z.string().openapi({ format: 'date', description: 'The day of the oldest figure.' }),
        page: z.string().openapi({ description: 'Where the provider states its prices.' }),
        currency: z.literal('USD'),
      })
      .nullable(),
  })
  .openapi('Report')

type ReportJson = z.infer<typeof reportOutput>

const quantity = (description: string) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be an integer from 0')
    .transform(Number)
    .optional()
    .openapi({ type: 'integer', minimum: 0, description })

const reportRoute = createRoute({
  method: 'get',
  path: '/v1/report',
  operationId: 'report',
  tags: ['Upkeep'],
  summary: 'What is stored, for whom, and what it costs',
  description:
    'Objects and bytes, and what is pending, failed, missing and corrupt, in total and by one thing. A JWT sees its own. ' +
    'Assets that are being deleted are not counted.',
  security: bearer,
  request: {
    query: strict({
      by: z
        .string()
        .min(1)
        .max(100)
        .optional()
        .openapi({
          description:
            '`owner`, `collection`, `kind`, `month` or `day` (in which an asset was made, UTC), or an attribute that a ' +
            'collection declares.',
          example: 'owner',
        }),
      owner: ownerText.optional(),
      collection: z.string().min(1).max(255).optional(),
      kind: z.enum(mediaKinds).optional(),
      from: timestampText.optional().openapi({ description: 'Made at or after.' }),
      to: timestampText.optional().openapi({ description: 'Made before.' }),
      prices: z.string().min(1).max(100).optional().openapi({
        description:
          'Add the cost of a month at list prices: `aws:<region>`, `r2`, `b2`, `self-hosted`, with `:<class>`.',
        example: 'aws:us-east-1:standard-ia',
      }),
      puts: quantity('Requests that write, a month. Default: assets stored in the last 30 days.'),
      gets: quantity('Requests that read, a month. Default: links issued in the last 30 days.'),
      egress: quantity('Bytes sent to the internet, a month. Default: those behind these links.'),
      format: z.enum(['json', 'csv']).optional().openapi({ description: 'Default: json. csv: RFC 4180.' }),
      limit: limitText.optional().openapi({ description: 'Rows a page.', default: 100 }),
      cursor: cursorText.optional(),
    }),
  },
  responses: {
    200: {
      description: 'A page. As CSV, `Link` has the next one (RFC 8288).',
      content: { 'application/json': { schema: reportOutput }, 'text/csv': { schema: z.string() } },
    },
    ...commonProblems,
    403: problem('`forbidden`'),
  },
})

export function addReportRoute(app: OpenAPIHono<HttpEnv>): void {
  app.openapi(reportRoute, async (c) => {
    const { format, puts, gets, egress, ...query } = c.req.valid('query')
    refuseOtherOwner(c.get('actor'), query.owner)
    const usage = { puts, gets, egress }
    const given = Object.values(usage).some((value) => value !== undefined)
    const report = await c.get('verbs').report({ ...query, ...(given ? { usage } : {}) } satisfies ReportRequest)
    if (format !== 'csv') return c.json(reportJson(report), 200)
    if (report.nextCursor !== null) {
      const next = new URLSearchParams(c.req.query())
      next.set('cursor', report.nextCursor)
      c.header('link', `</v1/report?${next}>; rel="next"`)
    }
    // A page after the first one goes on without a head, so that pages can be put together.
    const csv = reportCsv(report, { head: query.cursor === undefined })
    return c.body(csv, 200, { 'content-type': 'text/csv; charset=utf-8; header=present' })
  })
}

function reportJson(report: Report): ReportJson {
  return {
    at: report.at.toISOString(),
    by: report.by,
    rows: report.rows.map((row) => ({ name: row.name, ...figuresJson(row) })),
    groups: report.groups,
    total: figuresJson(report.total),
    nextCursor: report.nextCursor,
    replica: report.replica && replicaJson(report.replica),
    prices: report.prices && { ...report.prices },
  }
}

function figuresJson(row: ReportFigures): ReportJson['total'] {
  const { objects, bytes, pending, failed, missing, corrupt, growth, month } = row
  return {
    objects,
    bytes,
    pending,
    failed,
    missing,
    corrupt,
    ...(growth === undefined ? {} : { growth: { ...growth } }),
    ...(month === undefined ? {} : { month: { ...month, cost: { ...month.cost } } }),
  }
}
