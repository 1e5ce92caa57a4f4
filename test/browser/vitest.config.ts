import { defineConfig } from 'vitest/config'

/** Suites in a real browser, which must be installed; plain `npm test` leaves them alone. */
export default defineConfig({
  test: {
    include: ['test/browser/**/*.browser.ts'],
    pool: 'forks',
    // Browsers share the machine with the servers they talk to.
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 120_000,
  },
})
