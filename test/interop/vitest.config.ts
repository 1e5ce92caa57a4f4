import { defineConfig } from 'vitest/config'

/** Suites against servers that must be installed and running; plain `npm test` leaves them alone. */
export default defineConfig({
  test: { include: ['test/interop/**/*.interop.ts'], pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 },
})
