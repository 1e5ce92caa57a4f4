import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { explore } from './explore.ts'
import { mutants, sow } from './mutants.ts'
import { runSequence } from './run-sequence.ts'
import type { Step } from './steps.ts'
import { loadSubject } from './subject.ts'

const root = resolve(import.meta.dirname, '../..')

test('an asset’s life holds its invariants, whatever fails in it', async () => {
  const seed = Date.now() % 2 ** 31
  const { violation } = await explore({ src: resolve(root, 'src'), sequences: 60, seed })
  expect(
    violation,
    `npm run test:model -- --workers 1 --no-mutants --seed ${violation?.seed} --path ${violation?.path}`,
  ).toBeNull()
})

/** Found by the 12,374th sequence of a long run: bytes whose row was taken over by the sweep were answered `pending`. */
const overtakenBytes = (after: number): Step[] => [
  {
    at: 'acts',
    acts: [
      { do: 'overtake', after },
      { do: 'import', owner: 0, content: 0, idempotency: 0, source: 'bytes' },
    ],
    faults: [
      { method: 'fail', fault: 'fail', times: 1 },
      { method: 'put', fault: 'slow', times: 1 },
    ],
  },
  { at: 'jump', seconds: 31 },
]

/** A sweep looks and deletes while a copy is in the bucket and its row does not say so yet. */
const sweptBeside = (after: number): Step[] => [
  { at: 'outage', down: true },
  {
    at: 'acts',
    acts: [{ do: 'import', owner: 0, content: 0, idempotency: null, source: 'bytes' }],
    faults: [],
  },
  { at: 'outage', down: false },
  {
    at: 'acts',
    acts: [{ do: 'promote' }, { do: 'overtake', after }],
    faults: [{ method: 'finishPromotion', fault: 'slow', times: 1 }],
  },
]

test('what once broke an invariant does not do so again', async () => {
  const subject = await loadSubject(resolve(root, 'src'))
  const database = await subject.openPglite({ dir: 'memory' })
  try {
    for (let after = 0; after < 60; after += 4) await runSequence(subject, database, overtakenBytes(after))
    for (let after = 0; after < 20; after += 10) await runSequence(subject, database, sweptBeside(after))
  } finally {
    await database.close()
  }
})

// That each is caught is for `npm run test:model` to show; here, that none of them rots unseen.
test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
  'the mutant still fits the source: %s',
  async (_, mutant) => {
    await using sown = await sow(root, mutant)
    expect(sown.src).toContain('.mutants')
  },
)
