import { createInterface } from 'node:readline/promises'
import { CliFailure } from './failure.ts'
import type { Io } from './io.ts'

/**
 * Asks before something that cannot be undone. Returns on a yes.
 *
 * @param verb As in "rm deletes for good": told where there is no terminal to ask on.
 */
export async function confirm(question: string, verb: string, io: Io): Promise<void> {
  if (!io.stdin.isTTY || !io.stderr.isTTY) {
    throw CliFailure.usage(`${verb} and there is no terminal to ask on. Add --yes.`)
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await prompt.question(`${question} [y/N] `, { signal: io.signal })
    if (!/^y(es)?$/i.test(answer.trim())) throw CliFailure.usage('Nothing was done.')
  } catch (error) {
    throw error instanceof CliFailure ? error : CliFailure.interrupted()
  } finally {
    prompt.close()
  }
}
