/** Reports and rebuilds over HTTP and on the command line. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runCli } from '../support/cli.ts'
import { apiKey, gif, startTestServer, type TestServer } from '../support/http.ts'

const formula = '=HYPERLINK("http://evil.example")'
const figures = z.looseObject({ objects: z.number(), bytes: z.number() })
const reportSchema = z.looseObject({
  rows: z.array(figures.extend({ name: z.string().nullable() })),
  total: figures.extend({
    month: z.looseObject({ puts: z.number(), gets: z.number(), cost: z.looseObject({ total: z.number() }) }).optional(),
  }),
  groups: z.number(),
  nextCursor: z.string().nullable(),
})

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
  const source = { base64: gif.toString('base64') }
  for (const [owner, model] of [
    ['ada', 'flux'],
    ['ada', 'flux'],
    [formula, 'kling'],
  ]) {
    const body = { source, owner, attributes: { model } }
    expect((await server.call('/v1/collections/generations/imports', { body })).status).toBe(201)
  }
})
afterAll(() => server.stop())

async function report(query: string) {
  const response = await server.call(`/v1/report${query}`)
  const body: unknown = await response.json()
  expect(response.status, JSON.stringify(body)).toBe(200)
  return reportSchema.parse(body)
}

describe('GET /v1/report', () => {
  it('tells the total, and rows by what was asked for', async () => {
    expect(await report('')).toMatchObject({ rows: [], total: { objects: 3, bytes: 3 * gif.length }, groups: 0 })
    expect((await report('?by=owner')).rows).toMatchObject([
      { name: 'ada', objects: 2 },
      { name: formula, objects: 1 },
    ])
    expect((await report('?by=model&owner=ada')).rows).toMatchObject([{ name: 'flux', objects: 2 }])
    expect((await report('?by=attributes.wallet')).rows).toMatchObject([{ name: null, objects: 3 }])
    expect((await report('?by=month')).rows).toMatchObject([{ objects: 3, growth: { added: 3, removed: 0 } }])
  })

  it('prices a month by its audit, or by what is given', async () => {
    const estimated = (await report('?by=owner&prices=aws:us-east-1')).total.month
    // Each import answers with a link, so there are three of both.
    expect(estimated).toMatchObject({ puts: 3, gets: 3, egress: 3 * gif.length })
    const given = await report('?by=owner&prices=aws:us-east-1&puts=25000&gets=50000&egress=20000000000')
    expect(given.total.month?.cost.total).toBeCloseTo(0.145 + (20e9 / 2 ** 30) * 0.09, 4)
    expect(given.rows[0]).toMatchObject({ month: { puts: expect.closeTo(25_000 * (2 / 3), 3) } })
  })

  it('comes as CSV that no spreadsheet runs, page by page', async () => {
    const first = await server.call('/v1/report?by=owner&format=csv&limit=1')
    expect(first.headers.get('content-type')).toMatch(/^text\/csv/)
    expect(await first.text()).toBe(
      `owner,objects,bytes,pending,failed,missing,corrupt\r\nada,2,${2 * gif.length},0,0,0,0\r\n`,
    )
    const next = /^<(.*)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1] ?? ''
    const second = await server.call(next)
    expect(await second.text()).toBe(`"'${formula.replaceAll('"', '""')}",1,${gif.length},0,0,0,0\r\n`)
    expect(second.headers.get('link')).toBeNull()
  })

  it.each([
    ['?by=colour', /by is 'colour'\. Allowed: owner, collection, kind, month, day, agent, model, wallet/],
    ['?prices=gcs', /No prices are known for 'gcs'/],
    ['?by=month&prices=r2', /do not go with by=month/],
    ['?puts=5', /Say which prices/],
    ['?cursor=abc&by=owner', /cursor is not one/],
    ['?limit=0', /limit/],
  ])('refuses %s and says what is allowed', async (query, why) => {
    const response = await server.call(`/v1/report${query}`)
    expect([response.status, await response.text()]).toEqual([400, expect.stringMatching(why)])
  })
})

describe('keepsake report', () => {
  const cli = (...args: string[]) =>
    runCli(['report', ...args], { env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey } })

  it('shows a table with its total', async () => {
    const { code, stdout } = await cli('--by', 'owner')
    expect(code).toBe(0)
    expect(stdout.split('\n').map((line) => line.trimEnd().split(/\s{2,}/))).toEqual([
      ['OWNER', 'OBJECTS', 'SIZE', 'PENDING', 'FAILED', 'MISSING', 'CORRUPT'],
      ['ada', '2', '84 bytes', '0', '0', '0', '0'],
      [formula, '1', '42 bytes', '0', '0', '0', '0'],
      ['TOTAL', '3', '126 bytes', '0', '0', '0', '0'],
      [''],
    ])
  })

  it('says what the rows come to that are not shown, and how to see them', async () => {
    const { stdout, stderr } = await cli('--by', 'owner', '-n', '1', '--prices', 'self-hosted')
    expect(stdout).toMatch(/^\(1 more\) +1 +42 bytes/m)
    expect(stdout).toMatch(/^TOTAL +3 +126 bytes/m)
    expect(stdout).toMatch(/list prices in US dollars as of 2026-11-20/)
    expect(stderr).toMatch(/There are more: --all, or --cursor \S+/)
    expect((await cli('--by', 'owner', '-n', '1', '--all')).stdout).toContain(formula)
  })

  it('gives JSON, and all pages of CSV as one', async () => {
    expect(reportSchema.parse((await cli('--by', 'owner', '--json')).json()).groups).toBe(2)
    const { stdout } = await cli('--by', 'owner', '--format', 'csv', '-n', '1', '--all')
    expect(stdout.split('\r\n')).toHaveLength(4)
    expect(stdout.match(/owner,objects/g)).toHaveLength(1)
  })

  it('shows growth and costs, and a dash for what is not known', async () => {
    expect((await cli('--by', 'month')).stdout).toMatch(/OBJECTS +SIZE +ADDED +SIZE +REMOVED +SIZE/)
    const { stdout } = await cli('--prices', 'aws:us-east-2', '--egress', '20 GB')
    expect(stdout).toMatch(/STORAGE \$ +REQUESTS \$ +EGRESS \$ +A MONTH \$/)
    expect(stdout).toMatch(/<0\.01 +- +- +<0\.01/)
    expect(stdout).toMatch(/Left out, because no price is known: requests, egress\./)
  })

  it.each([
    ['--format', 'xml'],
    ['--egress', 'much'],
  ])('refuses %s %s as wrong usage', async (...args) => {
    expect((await cli(...args)).code).toBe(2)
  })
})

describe('POST /v1/rebuild', () => {
  it('tells what it would do, line by line, and the command line shows it', async () => {
    const response = await server.call('/v1/rebuild', { body: { intoExisting: true } })
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    const lines = (await response.text())
      .trim()
      .split('\n')
      .map((line) => z.looseObject({ type: z.string() }).parse(JSON.parse(line)))
    expect(lines.at(-1)).toMatchObject({ type: 'result', dryRun: true, listed: 3, added: 0, verdicts: { present: 3 } })
    const { code, stdout } = await runCli(['rebuild', '--into-existing'], {
      env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey },
    })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^0 {2}of 3 objects would become assets/)
    expect(stdout).toMatch(/^3 {2}are in the catalogue already$/m)
    expect(stdout).toMatch(/Nothing was changed\. Add --yes to do it\./)
  })

  it('refuses a catalogue that is in use, and ends with 5', async () => {
    const { code, stderr } = await runCli(['rebuild', '--yes'], {
      env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey },
    })
    expect([code, stderr]).toEqual([5, expect.stringMatching(/in use.*--into-existing.*\[invalid_request\]/)])
  })
})
