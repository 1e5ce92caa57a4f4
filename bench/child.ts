import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { resolve } from 'node:path'
import type { z } from 'zod'

/** A process of the benchmark's own: sent one message at a time, it answers each with one. */
export class Child implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exit: Promise<void>
  #running = true

  constructor(file: string, options: Pick<ForkOptions, 'env' | 'execArgv'> = {}) {
    this.#child = fork(resolve(import.meta.dirname, file), {
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      ...options,
    })
    const { promise, resolve: onExit } = Promise.withResolvers<void>()
    this.#exit = promise
    this.#child.once('exit', () => {
      this.#running = false
      onExit()
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async ask<T>(schema: z.ZodType<T>, message: object): Promise<T> {
    const { promise, resolve: onAnswer, reject } = Promise.withResolvers<unknown>()
    const onExit = () => reject(new Error(`A child process of the benchmark ended: pid ${this.pid}.`))
    this.#child.once('message', onAnswer).once('exit', onExit)
    try {
      if (!this.#running) onExit()
      else this.#child.send(message)
      return schema.parse(await promise)
    } finally {
      this.#child.off('message', onAnswer).off('exit', onExit)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The children end when the channel does; one that hangs is killed.
    if (this.#child.connected) this.#child.disconnect()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await this.#exit
    clearTimeout(timer)
  }
}

/** The child's side: answers each message, and calls `end` when the parent is done or gone. */
export function serveParent(answer: (message: unknown) => Promise<object>, end: () => Promise<void>): void {
  process.on('message', (message) => {
    answer(message).then(
      (reply) => process.send?.(reply),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  process.once('disconnect', () => {
    end().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
}
