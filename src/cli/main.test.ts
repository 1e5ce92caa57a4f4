import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiKey, gif, startSource, startTestServer, type TestServer } from '../../test/support/http.ts'
import { errorTable } from '../media/index.ts'
import { exitCodes } from './failure.ts'

const main = new URL('main.ts', import.meta.url).pathname

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], { env: { PATH: process.env.PATH ?? '', ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, stdout, stderr })),
  )
  return { child, ended }
}

let server: TestServer
let env: Record<string, string>
beforeAll(async () => {
  server = await startTestServer()
  env = { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey }
})
afterAll(() => server.stop())

describe('the keepsake command', () => {
  it('keeps what is piped into it and lists it', async () => {
    const { child, ended } = start(['import', '-', '--filename', 'dot.gif'], env)
    child.stdin.end(gif)
    const { code, stdout, stderr } = await ended
    expect([code, stderr]).toEqual([0, ''])
    const listed = await start(['ls'], env).ended
    expect(listed.stdout).toContain(stdout.trim())
  })

  it('ends with its documented exit codes', async () => {
    expect((await start(['--help']).ended).code).toBe(0)
    expect((await start(['nonsense']).ended).code).toBe(2)
    expect((await start(['show', 'nonsense'], env).ended).code).toBe(3)
    expect((await start(['ls'], { ...env, KEEPSAKE_API_KEY: 'wrong' }).ended).code).toBe(4)
  })

  it('ends with 130 at an interrupt', async () => {
    const asked = Promise.withResolvers<void>()
    await using silent = await startSource(() => asked.resolve())
    const { child, ended } = start(['ls', '--url', silent.url])
    await asked.promise
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
  })

  it('does not mind a reader that leaves early', async () => {
    const { child, ended } = start(['ls', '--all', '--json'], env)
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('loads neither the server nor the database to show help', async () => {
    const { stderr } = await start(['--help'], { NODE_DEBUG: 'module,esm' }).ended
    expect(stderr).toContain('node_modules/commander/')
    expect(stderr).not.toMatch(/node_modules\/(hono|zod|pino|undici|pg|@electric-sql)\//)
  })
})

describe('docs/cli.md', () => {
  const text = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')

  it('documents every verb and every exit code', () => {
    for (const verb of ['serve', 'import', 'ls', 'show', 'url', 'rm', 'audit', 's3', 'demo']) {
      expect(text).toContain(`keepsake ${verb}`)
    }
    for (const code of Object.values(exitCodes)) expect(text).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'))
  })

  it('names only error codes that exist', () => {
    const named = [...text.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map((match) => match[1] ?? '')
    for (const code of named) expect(Object.keys(errorTable)).toContain(code)
  })
})
