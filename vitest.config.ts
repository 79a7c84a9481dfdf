import { defineConfig } from 'vitest/config'

// Tests run from source: the export condition leads past dist/ to src/, so no build can be stale under them. The other
// conditions each loader adds for itself: were `import` given here, a `require` of a dual package would get its ESM.
const conditions = ['memcache-ts-source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Many tests wait for timers and processes: three workers keep two cores busy.
    maxWorkers: 3,
  },
})
