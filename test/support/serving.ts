import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const root = resolve(import.meta.dirname, '../..')
const main = resolve(root, 'src/cli/main.ts')
const ended = Symbol('ended')

export type ServingOptions = {
  /** What the server is started with, beside PATH. */
  readonly environment: Readonly<Record<string, string>>
  readonly url: string
  /** Where its configuration file is. Default: the repository. */
  readonly cwd?: string
  /** A file that gets what the server writes. */
  readonly log: string
}

/** `keepsake serve` as a child process. Every one that was started must be killed or stopped. */
export class Serving {
  readonly #child: ChildProcess
  readonly #exit: Promise<number | null>
  readonly #url: string
  #running = true

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.#url = url
    const { promise, resolve: onExit, reject } = Promise.withResolvers<number | null>()
    this.#exit = promise
    child.once('error', reject)
    child.once('exit', (code) => {
      this.#running = false
      onExit(code)
    })
  }

  static start({ environment, url, log, cwd = root }: ServingOptions): Serving {
    const output = openSync(log, 'a')
    try {
      const child = spawn(process.execPath, [main, 'serve'], {
        cwd,
        env: { PATH: process.env.PATH, ...environment },
        stdio: ['ignore', output, output],
      })
      return new Serving(child, url)
    } finally {
      closeSync(output)
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Waits until `/readyz` answers 200. */
  async ready(seconds = 60): Promise<void> {
    const until = performance.now() + seconds * 1000
    while (this.#running) {
      const ok = await fetch(`${this.#url}/readyz`, { signal: AbortSignal.timeout(5_000) }).then(
        async (response) => {
          await response.arrayBuffer()
          return response.ok
        },
        () => false,
      )
      if (ok) return
      if (performance.now() > until) throw new Error(`The server was not ready after ${seconds} seconds.`)
      await delay(25)
    }
    throw new Error(`The server ended by itself while it started, with exit code ${await this.#exit}.`)
  }

  /** SIGKILL; resolves when the process is gone. Answers false where it had ended before. */
  async kill(): Promise<boolean> {
    const running = this.#running
    this.#child.kill('SIGKILL')
    await this.#exit
    return running
  }

  /** SIGTERM, as an operator stops it; answers its exit code. */
  async stop(seconds = 40): Promise<number | null> {
    this.#child.kill('SIGTERM')
    const code = await Promise.race([this.#exit, delay(seconds * 1000, ended, { ref: false })])
    if (code !== ended) return code
    await this.kill()
    throw new Error(`The server did not stop within ${seconds} seconds of SIGTERM.`)
  }
}
