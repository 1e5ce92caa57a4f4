/** What is lost in the bucket is had again from wherever it lies yet: the disk of this machine, the address it came from. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { composeKeepsake } from '../../src/compose.ts'
import { createInlineJobs } from '../../src/jobs/index.ts'
import { gif } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'
import { type SourceServer, startSourceServer } from '../support/source-server.ts'

let source: SourceServer
beforeAll(async () => {
  source = await startSourceServer()
})
afterAll(() => source.close())

it('a scan by the clock that may act brings lost objects back, and no signed link was kept for that', async () => {
  const opened = await openTestParts({ allowHosts: [source.host], fallback: {} })
  const { database, bucket, local } = opened
  const jobs = createInlineJobs()
  // Its scheduled work when it is told, with all other parts as they are.
  const keepsake = await composeKeepsake({
    ...opened.parts,
    jobs,
    promoteEvery: 0,
    schedules: { reconcile: { cron: '0 4 * * *', apply: true } },
    release: async () => {},
  })
  try {
    const secret = 'X-Amz-Signature=0123456789abcdef'
    const imported = (path: string) => keepsake.import('generations', { source: { url: source.url(path) } })
    const plain = await imported('/picture.png')
    const signed = await imported(`/picture.png?${secret}`)
    const gone = await imported('/film.mp4')
    const onDisk = await keepsake.import('generations', { source: { bytes: gif } })
    const { rows } = await database.service.query('select * from keepsake.assets a, keepsake.audit b')
    expect(JSON.stringify(rows)).not.toContain('0123456789abcdef')

    const lost = [plain, signed, gone, onDisk]
    const keys = lost.flatMap(({ key }) => key ?? [])
    const copy = await bucket.get(onDisk.key ?? '')
    await local?.store.store.put({
      ...{ key: onDisk.key ?? '', body: () => copy.body, size: gif.length, contentType: 'image/gif' },
      sha256: onDisk.sha256 ?? '',
    })
    expect((await bucket.delete(keys)).failed).toEqual([])
    source.behave('/film.mp4', '/nothing')
    // What was stored in the very millisecond of a listing is none of its findings.
    await delay(5)
    await jobs.runScheduled('reconcile')
    expect(jobs.errors).toEqual([])
    const [run] = (await keepsake.upkeepState()).runs
    expect(run).toMatchObject({ name: 'reconcile', detail: { outcomes: { recovered: 2, marked: 2, failed: 0 } } })
    const health = async ({ id }: { id: string }) => (await keepsake.get(id)).health
    expect(await Promise.all(lost.map(health))).toEqual(['ok', 'missing', 'missing', 'ok'])
    expect((await bucket.head(plain.key ?? ''))?.size).toBe(source.png.length)
    const { entries } = await keepsake.audit({ limit: 100 })
    const from = entries.flatMap(({ action, detail }) => (action === 'asset.recovered' ? [detail.from] : []))
    expect(from.sort()).toEqual(['local', 'source'])
  } finally {
    await keepsake.close()
    await opened.keepsake.close()
  }
}, 120_000)
