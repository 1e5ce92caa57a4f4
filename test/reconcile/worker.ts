import { z } from 'zod'
import { explore } from './explore.ts'

/** One process of a run: takes its task from the parent, answers with what it found. */
const task = z.object({
  src: z.string(),
  interleavings: z.int(),
  seed: z.int(),
  path: z.string().optional(),
  shrink: z.boolean().optional(),
  server: z.string().optional(),
})

process.once('message', async (message) => {
  const outcome = await explore(task.parse(message)).catch((error: unknown) => ({
    interleavings: 0,
    tally: { quarantined: 0, restored: 0, takenInTime: 0, refused: 0 },
    violation: { message: String(error instanceof Error ? error.stack : error), counterexample: '', seed: 0, path: '' },
  }))
  process.send?.(outcome, () => process.exit(0))
})
