import { createInterface } from 'node:readline/promises'
import { CliFailure } from './failure.ts'
import type { Io } from './io.ts'

/**
 * Asks on the terminal, and throws unless the answer is yes.
 *
 * @param unasked What to say where there is no terminal to ask on.
 * @param declined What to say after a no.
 */
export async function confirm(question: string, unasked: string, declined: string, io: Io): Promise<void> {
  if (!io.stdin.isTTY || !io.stderr.isTTY) throw CliFailure.usage(unasked)
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await prompt.question(`${question} [y/N] `, { signal: io.signal })
    if (!/^y(es)?$/i.test(answer.trim())) throw CliFailure.usage(declined)
  } catch (error) {
    throw error instanceof CliFailure ? error : CliFailure.interrupted()
  } finally {
    prompt.close()
  }
}
