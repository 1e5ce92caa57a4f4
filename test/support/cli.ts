import { type Io, run } from '../../src/cli/index.ts'

export type CliResult = {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** Standard output as the JSON that it is. */
  json(): unknown
}

/** The command line without a process: the same code, its surroundings given in. */
export async function runCli(
  args: readonly string[],
  io: Partial<Io> & { readonly input?: Uint8Array } = {},
): Promise<CliResult> {
  let [stdout, stderr] = ['', '']
  const { input } = io
  const stdin = Object.assign(
    (async function* () {
      if (input) yield input
    })(),
    { isTTY: input === undefined },
  )
  const code = await run(
    args,
    {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      stdin,
      env: {},
      installation: () => Promise.reject(new Error('This test has no installation.')),
      signal: new AbortController().signal,
      ...io,
    },
    '1.2.3',
  )
  return { code, stdout, stderr, json: () => JSON.parse(stdout) }
}
