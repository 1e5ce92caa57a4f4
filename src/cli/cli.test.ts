import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runCli } from '../../test/support/cli.ts'
import { apiKey, gif, startSource, startTestServer, type TestServer } from '../../test/support/http.ts'
import { KeepsakeError, newAssetId } from '../media/index.ts'
import { assetPageSchema, assetSchema, auditPageSchema, urlsSchema } from './client.ts'
import type { Installation, OpenInstallation } from './installation.ts'

let server: TestServer
let folder: string
let picture: string
beforeAll(async () => {
  server = await startTestServer()
  folder = await mkdtemp(join(tmpdir(), 'keepsake-cli-'))
  picture = join(folder, 'dot.gif')
  await writeFile(picture, gif)
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

const remote = (input?: Uint8Array) => ({
  env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey },
  ...(input ? { input } : {}),
})

async function importPicture(...args: string[]) {
  const result = await runCli(['import', picture, '--json', ...args], remote())
  expect(result).toMatchObject({ code: 0, stderr: '' })
  return assetSchema.parse(result.json())
}

describe('import', () => {
  it('keeps a file under its name, with attributes and provenance', async () => {
    const args = ['--owner', 'ada', '--attr', 'wallet=0xAB', '-a', 'model=flux=1', '--prompt', 'a dot', '--seed', '7']
    expect(await importPicture(...args)).toMatchObject({
      state: 'stored',
      owner: 'ada',
      size: gif.length,
      filename: 'dot.gif',
      attributes: { wallet: 'ab', model: 'flux=1' },
      provenance: { prompt: 'a dot', seed: '7' },
    })
  })

  it('prints just the id for people and scripts', async () => {
    const { code, stdout, stderr } = await runCli(['import', picture], remote())
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^[0-9a-f-]{36}\n$/)
  })

  it('keeps standard input, whatever its size modulo three', async () => {
    for (const tail of ['', 'x', 'xy', 'xyz'.repeat(100_000)]) {
      const bytes = Buffer.concat([gif, Buffer.from(tail)])
      const { json, code } = await runCli(['import', '-', '--json'], remote(bytes))
      expect(code).toBe(0)
      expect(assetSchema.parse(json()).size).toBe(bytes.length)
    }
  })

  it('keeps a data URI', async () => {
    const { code } = await runCli(['import', `data:image/gif;base64,${gif.toString('base64')}`], remote())
    expect(code).toBe(0)
  })

  it('gives the same asset under the same idempotency key', async () => {
    const [a, b] = [await importPicture('--idempotency-key', 'k'), await importPicture('--idempotency-key', 'k')]
    expect(a.id).toBe(b.id)
  })

  it('ends with 6 while the source is failing, and says that it is pending', async () => {
    await using source = await startSource((_, response) => response.writeHead(503).end())
    const failing = await startTestServer({ allowHosts: [source.host] })
    try {
      const env = { KEEPSAKE_URL: failing.url, KEEPSAKE_API_KEY: apiKey }
      const { code, stdout, stderr } = await runCli(['import', `${source.url}/a.gif`], { env })
      expect(code).toBe(6)
      expect(stdout).toMatch(/^[0-9a-f-]{36}\n$/)
      expect(stderr).toMatch(/pending.*\[source_unavailable\]/)
    } finally {
      await failing.stop()
    }
  })

  it.each([
    ['a file that is not there', ['import', '/nowhere/a.png'], 2, 'ENOENT'],
    ['a folder', ['import', tmpdir()], 2, 'not a file'],
    ['an attribute without =', ['import', '-', '--attr', 'model'], 2, 'key=value'],
    ['an unknown collection', ['import', '-', '-c', 'nope'], 3, 'collection_not_found'],
    ['an undeclared attribute', ['import', '-', '--attr', 'mood=x'], 5, 'invalid_request'],
  ])('refuses %s', async (_, args, code, words) => {
    const result = await runCli(args, remote(gif))
    expect(result).toMatchObject({ code, stdout: '' })
    expect(result.stderr).toContain(words)
  })

  it('tells why a large file is refused before it was sent to its end', async () => {
    const large = join(folder, 'large.gif')
    await writeFile(large, Buffer.concat([gif, Buffer.alloc(8_000_000)]))
    const env = { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: 'wrong' }
    expect(await runCli(['import', large], { env })).toMatchObject({ code: 4 })
  })

  it('refuses content that is not media, with the code of the problem', async () => {
    const result = await runCli(['import', '-'], remote(Buffer.from('<html>')))
    expect(result.code).toBe(5)
    expect(result.stderr).toMatch(/^keepsake: .*\[content_type_refused\] \(request [0-9a-f-]{36}\)\n$/)
  })
})

describe('ls', () => {
  it('shows an aligned table, newest first', async () => {
    const made = [await importPicture('--owner', 'lister'), await importPicture('--owner', 'lister', '-a', 'model=m1')]
    const { stdout, code } = await runCli(['ls', '--owner', 'lister'], remote())
    expect(code).toBe(0)
    const [head = '', ...rows] = stdout.trimEnd().split('\n')
    expect(head).toMatch(/^ID +STATE +TYPE +SIZE +OWNER +CREATED +ATTRIBUTES$/)
    expect(rows.map((row) => row.slice(0, 36))).toEqual(made.map(({ id }) => id).reverse())
    expect(rows[0]).toMatch(/stored +image\/gif +\d+ bytes +lister +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +model=m1$/)
    expect(new Set(rows.map((row) => row.indexOf('stored'))).size).toBe(1)
  })

  it('pages, and takes every page with --all', async () => {
    const made = [
      await importPicture('--owner', 'pager'),
      await importPicture('--owner', 'pager'),
      await importPicture('--owner', 'pager'),
    ]
    const first = await runCli(['ls', '--owner', 'pager', '--limit', '2', '--json'], remote())
    const page = assetPageSchema.parse(first.json())
    expect(page.assets).toHaveLength(2)
    const rest = await runCli(['ls', '--owner', 'pager', '--cursor', String(page.nextCursor), '--json'], remote())
    expect(assetPageSchema.parse(rest.json()).assets.map(({ id }) => id)).toEqual([made[0]?.id])
    const all = await runCli(['ls', '--owner', 'pager', '--limit', '1', '--all', '--json'], remote())
    expect(assetPageSchema.parse(all.json())).toMatchObject({ nextCursor: null, assets: { length: 3 } })
    const table = await runCli(['ls', '--owner', 'pager', '--limit', '2'], remote())
    expect(table.stderr).toContain('--cursor')
  })

  it('filters by attribute and by age', async () => {
    const { id } = await importPicture('--owner', 'ages', '-a', 'model=m9')
    await importPicture('--owner', 'ages')
    const ids = async (...args: string[]) => {
      const { json } = await runCli(['ls', '--json', '--owner', 'ages', ...args], remote())
      return assetPageSchema.parse(json()).assets.map((asset) => asset.id)
    }
    expect(await ids('--attr', 'model=m9', '--from', '1h')).toEqual([id])
    expect(await ids('--to', '1h')).toEqual([])
    expect(await ids('--to', '2020-01-31')).toEqual([])
  })

  it.each(['yesterday', '2026-13-01', '7 lightyears', '999999999y'])('refuses %s as a time', async (time) => {
    const { code, stderr } = await runCli(['ls', '--from', time], remote())
    expect(code).toBe(2)
    expect(stderr).toContain('is not a time')
  })

  it('cannot be made to steer the terminal', async () => {
    await importPicture('--owner', 'evil\u001b[2J')
    const { stdout } = await runCli(['ls', '--limit', '1'], remote())
    expect(stdout).toContain('evil�[2J')
  })
})

describe('show, url, rm, audit', () => {
  it('show tells the facts of one asset', async () => {
    const { id } = await importPicture('--owner', 'shown')
    const { stdout } = await runCli(['show', id], remote())
    expect(stdout).toMatch(new RegExp(`^id +${id}$`, 'm'))
    expect(stdout).toMatch(/^owner +shown$/m)
    const { json } = await runCli(['show', id, '--json'], remote())
    expect(assetSchema.parse(json()).id).toBe(id)
  })

  it('url prints just links, one a line', async () => {
    const [a, b] = [await importPicture(), await importPicture()]
    const { stdout, code } = await runCli(['url', a.id, b.id, '--expires', '60'], remote())
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines.map((line) => new URL(line).searchParams.has('X-Amz-Signature'))).toEqual([true, true])
    const download = await runCli(['url', a.id, '--download', '--expires', '60'], remote())
    expect(download.stdout).toContain('response-content-disposition=')
  })

  it('url gives those that are there and ends with 3 for one that is not', async () => {
    const { id } = await importPicture()
    for (const extra of [[], ['--download']]) {
      const { stdout, stderr, code } = await runCli(['url', newAssetId(), id, ...extra], remote())
      expect(code).toBe(3)
      expect(stdout.trimEnd().split('\n')).toHaveLength(1)
      expect(stderr).toContain('[asset_not_found]')
    }
    const { json } = await runCli(['url', id, '--json'], remote())
    expect(urlsSchema.parse(json()).urls).toMatchObject([{ id }])
  })

  it('rm deletes, goes on past what is gone, and ends with 3', async () => {
    const { id } = await importPicture()
    const { stdout, stderr, code } = await runCli(['rm', newAssetId(), id, '--yes'], remote())
    expect([code, stdout]).toEqual([3, `deleted ${id}\n`])
    expect(stderr).toContain('asset_not_found')
    expect((await runCli(['show', id], remote())).code).toBe(3)
  })

  it('rm deletes nothing where nobody can be asked', async () => {
    const { id } = await importPicture()
    const { code, stderr } = await runCli(['rm', id], remote(gif))
    expect(code).toBe(2)
    expect(stderr).toContain('--yes')
    expect((await runCli(['show', id], remote())).code).toBe(0)
  })

  it('audit tells who did what', async () => {
    const { id } = await importPicture('--owner', 'watched')
    await runCli(['url', id], remote())
    const { stdout } = await runCli(['audit', id], remote())
    expect(stdout).toMatch(/^TIME +ACTION +ASSET +OWNER +ACTOR +REQUEST\n.*url\.issued/)
    const { json } = await runCli(['audit', '--owner', 'watched', '--all', '--json'], remote())
    expect(auditPageSchema.parse(json()).entries.every(({ owner }) => owner === 'watched')).toBe(true)
  })
})

describe('failures', () => {
  it('are one JSON problem on standard error with --json', async () => {
    const { code, stdout, stderr } = await runCli(['show', newAssetId(), '--json'], remote())
    expect([code, stdout]).toEqual([3, ''])
    const problem = z
      .looseObject({ code: z.string(), status: z.number(), requestId: z.string() })
      .parse(JSON.parse(stderr))
    expect(problem).toMatchObject({ code: 'asset_not_found', status: 404 })
  })

  it('end with 4 for wrong credentials', async () => {
    const env = { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: 'wrong' }
    expect(await runCli(['ls'], { env })).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('[unauthenticated]'),
    })
  })

  it('end with 6 where no server answers', async () => {
    const source = await startSource(() => {})
    await source[Symbol.asyncDispose]()
    const { code, stderr } = await runCli(['ls', '--url', source.url])
    expect(code).toBe(6)
    expect(stderr).toContain(`${source.url} cannot be reached (ECONNREFUSED)`)
  })

  it('say so where something else than a Keepsake answers', async () => {
    await using other = await startSource((_, response) => response.end('<html>hello</html>'))
    const { code, stderr } = await runCli(['ls', '--url', other.url])
    expect(code).toBe(6)
    expect(stderr).toContain('not as a Keepsake does')
  })

  it.each([
    [['nonsense']],
    [['ls', '--nonsense']],
    [['import']],
    [['ls', '--url', 'ftp://a.example']],
    [['ls', '--url', 'http://user:password@a.example']],
    [['url', newAssetId(), '--expires', '0']],
    [[]],
  ])('end with 2 for the usage %j', async (args) => {
    const { code, stdout, stderr } = await runCli(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).not.toBe('')
  })

  it('end with 130 when interrupted', async () => {
    const interruption = new AbortController()
    await using silent = await startSource(() => interruption.abort())
    const result = await runCli(['ls', '--url', silent.url], { signal: interruption.signal })
    expect(result.code).toBe(130)
  })
})

describe('without a server address', () => {
  function installationOver(target: TestServer, holder: Installation['findHolder']) {
    const opened: string[] = []
    const installation: Installation = {
      dataDir: folder,
      logLevel: 'info',
      findHolder: holder,
      open: async (): Promise<OpenInstallation> => {
        opened.push('open')
        return {
          app: target.app,
          host: '127.0.0.1',
          port: 0,
          generatedApiKey: 'ks_generated',
          announce: async (url) => void opened.push(url),
          drain: async () => void opened.push('drain'),
          close: async () => void opened.push('close'),
        }
      },
    }
    return { opened, io: { installation: async () => installation } }
  }

  it('works in this process where nobody holds the data folder, and lets go of it', async () => {
    const { opened, io } = installationOver(server, async () => undefined)
    const made = await runCli(['import', picture, '--json'], io)
    expect(made.code).toBe(0)
    expect(opened).toEqual(['open', 'close'])
    const { id } = assetSchema.parse(made.json())
    for (const args of [
      ['ls'],
      ['show', id],
      ['url', id],
      ['url', id, '--download'],
      ['audit', id],
      ['rm', id, '--yes'],
    ]) {
      expect(await runCli(args, io)).toMatchObject({ code: 0 })
    }
  })

  it('works through the socket of the process that holds it', async () => {
    const { opened, io } = installationOver(server, async () => ({ pid: 7, socket: server.socketPath ?? '' }))
    const made = await runCli(['import', picture, '--json'], io)
    expect(made.code).toBe(0)
    expect((await runCli(['show', assetSchema.parse(made.json()).id], io)).code).toBe(0)
    expect(opened).toEqual([])
  })

  it('waits for a holder that does not serve to end, then works here', async () => {
    let looks = 0
    const { opened, io } = installationOver(server, async () => {
      looks += 1
      return looks < 3 ? { pid: 7, socket: join(folder, 'nobody.sock') } : undefined
    })
    expect((await runCli(['ls'], io)).code).toBe(0)
    expect(opened).toEqual(['open', 'close'])
  })

  it('looks again where another process was faster', async () => {
    let attempts = 0
    const { io } = installationOver(server, async () => undefined)
    const installation = await io.installation()
    const racing: Installation = {
      ...installation,
      open: async (options) => {
        attempts += 1
        if (attempts === 1) throw new KeepsakeError('data_folder_locked', 'held')
        return installation.open(options)
      },
    }
    expect((await runCli(['ls'], { installation: async () => racing })).code).toBe(0)
    expect(attempts).toBe(2)
  })

  it('serve says where it serves, shows a generated key, and stops when told to', async () => {
    const stop = new AbortController()
    const { opened, io } = installationOver(server, async () => undefined)
    const told = Promise.withResolvers<string>()
    const stdout = { write: (text: string) => told.resolve(text) }
    const served = runCli(['serve', '--log-level', 'silent'], { ...io, stdout, signal: stop.signal })
    const banner = await told.promise
    const address = /serves at (http:\/\/127\.0\.0\.1:\d+)\n/.exec(banner)?.[1] ?? ''
    expect(banner).toContain('ks_generated')
    expect((await fetch(`${address}/healthz`)).status).toBe(200)
    stop.abort()
    expect((await served).code).toBe(0)
    expect(opened).toEqual(['open', address, 'drain', 'close'])
    await expect(fetch(`${address}/healthz`)).rejects.toThrow()
  })
})

describe('help', () => {
  it('names every verb, the exit codes and examples', async () => {
    const { code, stdout } = await runCli(['--help'])
    expect(code).toBe(0)
    for (const word of [
      'serve',
      'import',
      'ls',
      'show',
      'url',
      'rm',
      'audit',
      'demo',
      'Exit codes',
      '130',
      'Examples',
      'KEEPSAKE_URL',
    ]) {
      expect(stdout).toContain(word)
    }
  })

  it.each(['serve', 'import', 'ls', 'show', 'url', 'rm', 'audit'])('%s has help with examples', async (verb) => {
    const { code, stdout } = await runCli([verb, '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/Examples:\n {2}\$ /)
    expect(stdout).toContain('--json')
  })

  it('shows the version', async () => {
    expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: '1.2.3\n' })
  })
})

describe('progress', () => {
  it('shows on a terminal that long work goes on, and cleans up', async () => {
    const seen = Promise.withResolvers<void>()
    let text = ''
    const write = (more: string) => {
      text += more
      if (text.includes('importing dot.gif')) seen.resolve()
    }
    await using slow = await startSource(async (_, response) => {
      await seen.promise
      response.writeHead(404).end()
    })
    await runCli(['import', picture, '--url', slow.url], { stderr: { isTTY: true, columns: 60, write } })
    expect(text.endsWith(`\r\u001b[Kkeepsake: ${slow.url} answered 404. [unexpected]\n`)).toBe(true)
  })

  it('is silent elsewhere', async () => {
    await using slow = await startSource((_, response) => {
      setTimeout(() => response.writeHead(404).end(), 250)
    })
    const { stderr } = await runCli(['import', picture, '--url', slow.url])
    expect(stderr).toBe(`keepsake: ${slow.url} answered 404. [unexpected]\n`)
  })
})
