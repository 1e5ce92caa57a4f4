import { defineConfig } from 'vitest/config'

/** Parts that are left out on purpose, where their packages cannot be installed: `KEEPSAKE_INTEROP_WITHOUT=radosgw`. */
const without = (process.env.KEEPSAKE_INTEROP_WITHOUT ?? '').split(',').filter((name) => name !== '')
for (const name of without) console.warn(`\n!!! Interoperability with ${name} is NOT TESTED in this run.\n`)

/** Suites against programs that must be installed; plain `npm test` leaves them alone. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.interop.ts'],
    exclude: without.map((name) => `test/interop/**/${name}*.interop.ts`),
    passWithNoTests: without.length > 0,
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
