import { spawn } from 'node:child_process'
import { resolve } from 'node:path'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

type CommandOptions = { readonly cwd?: string; readonly input?: Uint8Array }

/** The `keepsake` command as a process of its own, with nothing in its environment but PATH and what is given. */
export function keepsakeCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  options: CommandOptions = {},
): Promise<Ended> {
  return command(process.execPath, [main, ...args], env, options)
}

/** Any other command, to its end, likewise. */
export async function command(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { cwd, input }: CommandOptions = {},
): Promise<Ended> {
  const child = spawn(file, args, { env: { PATH: process.env.PATH, ...env }, ...(cwd === undefined ? {} : { cwd }) })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  // One that ends before it has read everything is judged by its exit code.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const { promise, resolve: onClose, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('close', onClose)
  return { code: await promise, stdout, stderr }
}
