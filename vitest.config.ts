import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { workspacePackages } from './build/packages.js'

// Tests run from source: what is built can be stale, the source cannot.
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
    // What is waited for comes; how long it takes on a busy machine says nothing.
    expect: { poll: { timeout: 20_000 } },
    // Many tests wait for timers and processes: three workers keep two cores busy.
    maxWorkers: 3,
  },
})
