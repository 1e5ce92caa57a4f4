/** The real server as a process of its own: stopped in the middle of work, started again, and the commands beside it. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepsakeCommand } from '../support/command.ts'
import { freePort } from '../support/listen.ts'
import { ApiClient, type AssetAnswer, open, readAsset, readProblem, until } from '../support/service.ts'
import { Serving } from '../support/serving.ts'
import { type SourceServer, startSourceServer } from '../support/source-server.ts'

describe('a server on the embedded default', () => {
  let source: SourceServer
  let folder: string
  let url: string
  let environment: Record<string, string>
  let api: ApiClient
  let serving: Serving
  beforeAll(async () => {
    source = await startSourceServer()
    folder = await mkdtemp(join(tmpdir(), 'keepsake-e2e-'))
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    environment = {
      PORT: String(port),
      KEEPSAKE_DATA_DIR: join(folder, 'data'),
      KEEPSAKE_IMPORT_ALLOW_HOSTS: source.host,
      KEEPSAKE_LOG_LEVEL: 'info',
    }
    serving = start()
    await serving.ready()
    const key = /API key {2}(ks_\S+)/.exec(await log())?.[1]
    api = new ApiClient(url, { authorization: `Bearer ${key}` })
  })
  afterAll(async () => {
    await serving.kill()
    await source.close()
    await rm(folder, { recursive: true, force: true })
  })

  const start = () => Serving.start({ environment, url, cwd: folder, log: join(folder, 'log') })
  const log = () => readFile(join(folder, 'log'), 'utf8')

  let kept: AssetAnswer
  let finished: AssetAnswer
  let pending: AssetAnswer

  it('takes an import with the key that it printed, as the first thing it does', async () => {
    kept = await api.keep({ url: source.url('/picture.png') })
    expect((await open(kept.url)).bytes).toEqual(source.png)
  })

  it('lets every command work while it holds the folder', async () => {
    const { opened } = await expectVerbs()
    expect(opened?.bytes).toEqual(source.png)
  })

  it('finishes what is under way when it is told to stop, and ends well', async () => {
    source.behave('/later.png', '/status/503')
    pending = await readAsset(await api.import({ url: source.url('/later.png') }), 202)
    const answer = api.import({ url: source.url('/gated/1') })
    await source.halfWay('/gated/1')
    const code = serving.stop()
    await until(log, (text) => text.includes('stopping'))
    const refused = await api.import({ url: source.url('/picture.png') }).then(readProblem, () => undefined)
    // Either the door is closed already, or the one who opens it says so.
    if (refused) expect(refused).toMatchObject({ status: 503, code: 'stopping' })
    source.open('/gated/1')
    finished = await readAsset(await answer, 201)
    expect(finished).toMatchObject({ state: 'stored', sha256: source.sha256 })
    expect(await code).toBe(0)
    expect((await log()).trimEnd().split('\n').at(-1)).toContain('stopped')
  })

  it('goes on where it was when it starts again', async () => {
    source.behave('/later.png', '/picture.png')
    serving = start()
    await serving.ready()
    // Links that were given before the stop open still.
    for (const asset of [kept, finished]) expect((await open(asset.url)).bytes).toEqual(source.png)
    expect(await api.asset(kept.id)).toMatchObject({ state: 'stored', key: kept.key })
    const stored = await api.settled(pending.id)
    expect(stored).toMatchObject({ state: 'stored', sha256: source.sha256 })
    expect((await open(stored.url)).bytes).toEqual(source.png)
  })

  it('never logs where a source was or how a link is signed', async () => {
    await api.keep({ url: `${source.url('/picture.png')}?sig=SIGNATURE-OF-THE-SOURCE` })
    await api.call(`/v1/assets/${kept.id}/content`)
    const text = await log()
    expect(text).toContain('/v1/assets/:id/content')
    expect(text).not.toMatch(/SIGNATURE-OF-THE-SOURCE|X-Amz-Signature=[0-9a-f]/)
  })

  it('lets every command work after it has stopped', async () => {
    expect(await serving.stop()).toBe(0)
    await expectVerbs()
    // Each one opens the database by itself.
  }, 180_000)

  /** import, show, ls, url and rm, each as a process of its own; answers what the link gave. */
  async function expectVerbs() {
    const file = join(folder, 'photo.png')
    await writeFile(file, source.png)
    const env = { ...environment, PORT: '' }
    const imported = await keepsakeCommand(['import', file, '--owner', 'ada', '--attr', 'model=flux'], env)
    expect([imported.code, imported.stderr]).toEqual([0, ''])
    const id = imported.stdout.trim()
    const shown = await keepsakeCommand(['show', id, '--json'], env)
    expect(JSON.parse(shown.stdout)).toMatchObject({ state: 'stored', owner: 'ada', sha256: source.sha256 })
    const listed = await keepsakeCommand(['ls', '--owner', 'ada'], env)
    expect(listed.stdout).toContain(id)
    const link = await keepsakeCommand(['url', id], env)
    expect([link.code, link.stdout]).toEqual([0, expect.stringContaining('X-Amz-Signature=')])
    // Only while somebody serves the bucket.
    const opened = await open(link.stdout.trim()).catch(() => undefined)
    const removed = await keepsakeCommand(['rm', id, '--yes'], env)
    expect([removed.code, removed.stdout]).toEqual([0, `deleted ${id}\n`])
    return { opened }
  }
})
