import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // Many tests wait, for a lease or a retry, so one more than there are cores.
    maxWorkers: availableParallelism() + 1,
    globalSetup: ['test/support/global-setup.ts'],
    // They end what hangs; how fast a test is decides nothing, on a crowded machine neither.
    testTimeout: 180_000,
    hookTimeout: 240_000,
  },
})
