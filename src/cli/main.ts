#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { boundYoungGeneration } from '../young-generation.ts'

// Before anything else is loaded: the second start, and each one after it, is twice as fast.
enableCompileCache()
boundYoungGeneration()
const { exitCodes } = await import('./failure.ts')
const { run } = await import('./run.ts')

const packageText = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
const version: unknown = JSON.parse(packageText).version

const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The first asks for an orderly end; a second one will not wait.
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted)
    interruption.abort()
  })
}

// `keepsake ls | head` closes the pipe early; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? 0 : exitCodes.failure),
)

process.exitCode = await run(
  process.argv.slice(2),
  {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    installation: async (env) => (await import('./local.ts')).localInstallation(env),
    signal: interruption.signal,
  },
  String(version),
)
