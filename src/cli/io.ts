import type { Installation } from './installation.ts'

type Output = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }

/** All that a verb touches of the outside: given in, so that a test runs the same code without a process. */
export type Io = {
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  /** The installation that the environment and the working folder describe. Loads what it needs only then. */
  readonly installation: (env: Io['env']) => Promise<Installation>
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal
}
