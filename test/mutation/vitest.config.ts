import { defineConfig, mergeConfig } from 'vitest/config'
import base from '../../vitest.config.ts'

// Only the tests of the code that is changed: each run counts.
export default mergeConfig(
  base,
  defineConfig({
    test: {
      include: [
        'packages/protocol/test/key.test.ts',
        'packages/kit/test/session-merge.test.ts',
        'packages/kit/test/response-cache.test.ts',
        'packages/express/test/cache-areas/*.test.ts',
      ],
    },
  }),
)
