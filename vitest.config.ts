import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { workspacePackages } from './build/packages.js'

// Tests run from source, since the build may be stale.
const sources = workspacePackages().flatMap(({ name, folder, entries }) =>
  entries.map(({ subpath, source }) => ({
    find: new RegExp(`^${join(name, subpath)}$`),
    replacement: join(folder, source),
  })),
)

const seededFastCheck = join(import.meta.dirname, 'test/seeded-fast-check.ts')

export default defineConfig({
  resolve: { alias: [...sources, { find: /^fast-check$/, replacement: seededFastCheck }] },
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    // Only a hang reaches these, however busy the machine is; no test has a shorter limit of its own.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    // Many tests wait for timers and processes: three workers keep two cores busy.
    maxWorkers: 3,
    // `npm run coverage`: a table of the packages' sources, for reading; no number is a gate.
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], reporter: ['text', 'html'] },
  },
})
