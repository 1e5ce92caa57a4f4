import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { severities, statuses } from '../../doctor/index.ts'
import type { Keepsake } from '../../verbs.ts'
import { type HttpEnv, requireService } from '../env.ts'
import { strict } from '../schema.ts'
import { bearer, commonProblems, json, problem } from './contract.ts'

const findingOutput = z.strictObject({
  id: z.string().openapi({ description: 'Stable, see docs/doctor.md.', example: 'S3.8' }),
  title: z.string().openapi({ description: 'What should hold.', example: 'The bucket blocks public access' }),
  severity: z.enum(severities),
  status: z.enum(statuses).openapi({
    description: '`not_offered`: there is nothing to judge. `unknown`: it could not be looked at, which is no pass.',
  }),
  seen: z.string().openapi({ description: 'What was found.', example: 'Off: blockPublicPolicy.' }),
  why: z.string().openapi({ description: 'Why it matters.' }),
  fix: z.string().openapi({ description: 'The exact command or setting.' }),
})

const reportOutput = z
  .strictObject({
    ok: z.boolean().openapi({ description: 'Nothing failed, but for severity `info`, and nothing is unknown.' }),
    checkedAt: z.string().openapi({ format: 'date-time', example: '2026-01-31T12:00:00.000Z' }),
    counts: z.strictObject({ pass: z.int(), fail: z.int(), not_offered: z.int(), unknown: z.int() }),
    findings: z.array(findingOutput),
  })
  .openapi('DoctorReport')

const doctorRoute = createRoute({
  method: 'get',
  path: '/v1/doctor',
  operationId: 'doctor',
  tags: ['Operation'],
  summary: 'What is wrong with the bucket, the catalogue and the installation',
  description:
    'For an API key. Reads the bucket’s settings, tries the bucket out under `temp/.doctor/` (and removes that again), ' +
    'tries row-level security in a transaction that is rolled back. Answers within a minute, with 200 whatever it finds.',
  security: bearer,
  request: {
    query: strict({
      only: z.string().max(2000).optional().openapi({
        description: 'Ids or groups (`S3`, `bucket`, `probe`, `catalogue`, `folder`, `settings`), separated by commas.',
        example: 'S3.8,probe',
      }),
    }),
  },
  responses: { 200: json(reportOutput, 'The findings.'), ...commonProblems, 403: problem('`forbidden`') },
})

export function addDoctorRoute(app: OpenAPIHono<HttpEnv>, keepsake: Pick<Keepsake, 'doctor'>): void {
  app.openapi(doctorRoute, async (c) => {
    requireService(c.get('actor'), 'The doctor')
    const { only } = c.req.valid('query')
    const { findings, ...report } = await keepsake.doctor({
      ...(only === undefined ? {} : { only: only.split(',').map((name) => name.trim()) }),
      signal: c.req.raw.signal,
    })
    const answer = { ...report, checkedAt: report.checkedAt.toISOString(), findings: [...findings] }
    return c.json(answer, 200)
  })
}
