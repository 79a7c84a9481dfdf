import { defineConfig } from 'vitest/config'
import base from '../../vitest.config.ts'

const { projects: _, ...shared } = base.test!

// The tests of the mutated code alone: Stryker runs them for every mutant. (`mergeConfig` would add to the list of all
// tests.)
export default defineConfig({
  ...base,
  test: {
    ...shared,
    include: [
      'packages/protocol/test/key.test.ts',
      'packages/kit/test/argument-key.test.ts',
      'packages/kit/test/argument-key-decorated.test.ts',
      'packages/kit/test/session-merge.test.ts',
      'packages/kit/test/response-cache.test.ts',
      'packages/express/test/cache-areas/*.test.ts',
    ],
  },
})
