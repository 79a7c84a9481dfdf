import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { workspacePackages } from './build/packages.js'

// Tests run from source, since the build may be stale.
const alias = workspacePackages().flatMap(({ name, folder, entries }) =>
  entries.map(({ subpath, source }) => ({
    find: new RegExp(`^${join(name, subpath)}$`),
    replacement: join(folder, source),
  })),
)

export default defineConfig({
  resolve: { alias },
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Polling assertions wait long, since a busy machine may be slow.
    expect: { poll: { timeout: 20_000 } },
    // Many tests wait for timers and processes: three workers keep two cores busy.
    maxWorkers: 3,
    // `npm run coverage`: a table of the packages' sources, for reading; no number is a gate.
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], reporter: ['text', 'html'] },
  },
})
