import { spawn } from 'node:child_process'
import { resolve } from 'node:path'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** The `keepsake` command as a process of its own, with nothing in its environment but PATH and what is given. */
export async function keepsakeCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  options: { readonly cwd?: string; readonly input?: Uint8Array } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, ...env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  // One that ends before it has read everything is judged by its exit code.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input)
  const { promise, resolve: onClose, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('close', onClose)
  return { code: await promise, stdout, stderr }
}
