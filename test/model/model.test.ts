import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { explore } from './explore.ts'
import { mutants, sow } from './mutants.ts'

const root = resolve(import.meta.dirname, '../..')

test('an asset’s life holds its invariants, whatever fails in it', async () => {
  const seed = Date.now() % 2 ** 31
  const { violation } = await explore({ src: resolve(root, 'src'), sequences: 60, seed })
  expect(
    violation,
    `npm run test:model -- --workers 1 --no-mutants --seed ${violation?.seed} --path ${violation?.path}`,
  ).toBeNull()
})

// That each is caught is for `npm run test:model` to show; here, that none of them rots unseen.
test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
  'the mutant still fits the source: %s',
  async (_, mutant) => {
    await using sown = await sow(root, mutant)
    expect(sown.src).toContain('.mutants')
  },
)
