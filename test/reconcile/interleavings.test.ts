import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { expect, inject, test } from 'vitest'
import '../support/global-setup.ts'
import { explore } from './explore.ts'
import { mutants } from './mutants.ts'

const root = resolve(import.meta.dirname, '../..')

test('no live object is ever moved, however uploads, deletes, scans and applies interleave', async () => {
  const seed = Date.now() % 2 ** 31
  const server = inject('postgresUrl')
  const { violation, tally } = await explore({ src: resolve(root, 'src'), interleavings: 40, seed, server })
  expect(
    violation,
    `npm run test:reconcile -- --workers 1 --no-mutants --seed ${violation?.seed} --path ${violation?.path}`,
  ).toBeNull()
  // It was a test of something: objects were moved, and rows came in between.
  expect(tally.quarantined).toBeGreaterThan(0)
  expect(tally.takenInTime).toBeGreaterThan(0)
}, 300_000)

// That each is caught is for `npm run test:reconcile` to show; here, that none of them rots unseen.
test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
  'the mutant still fits: %s',
  async (_, { edits }) => {
    for (const { file, find } of edits) {
      expect((await readFile(resolve(root, 'src', file), 'utf8')).split(find)).toHaveLength(2)
    }
  },
)
