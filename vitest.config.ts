import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { configDefaults, defineConfig } from 'vitest/config'
import { workspacePackages } from './build/packages.js'

// Tests run from source, since the build may be stale.
const sources = workspacePackages().flatMap(({ name, folder, entries }) =>
  entries.map(({ subpath, source }) => ({
    find: new RegExp(`^${join(name, subpath)}$`),
    replacement: join(folder, source),
  })),
)

/**
 * Matches test files that use state of the process: its environment, its globals, its warnings, other processes, or the
 * packages' state of a process. Test files without a match, which use only their own servers and caches, share a
 * process: they run in it one after the other, and it loads Express and the packages once for all of them.
 */
const OF_THE_PROCESS =
  /\bvi\.(?!fn\b)|\bprocess\.(?!execPath|getuid|nextTick|env\['[A-Z_]+'\] \?\?)|\bgc\(|globalThis|\.prototype\b|[dD]efaultMemcache|(?<!ERR_)MEMCACHE_|opentelemetry|prom-client|node:(async_hooks|diagnostics_channel|perf_hooks|v8|worker_threads)/

const ALL = ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts']
const PACKAGES = join(import.meta.dirname, 'packages')
const sharing = readdirSync(PACKAGES, { recursive: true, encoding: 'utf8' })
  .filter((file) => /^\w+\/test\/.*\.test\.ts$/.test(file))
  .filter((file) => !OF_THE_PROCESS.test(readFileSync(join(PACKAGES, file), 'utf8')))
  .map((file) => join('packages', file))

const seededFastCheck = join(import.meta.dirname, 'test/seeded-fast-check.ts')

export default defineConfig({
  resolve: { alias: [...sources, { find: /^fast-check$/, replacement: seededFastCheck }] },
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    projects: [
      { extends: true, test: { name: 'isolated', include: ALL, exclude: [...configDefaults.exclude, ...sharing] } },
      { extends: true, test: { name: 'sharing', include: sharing, isolate: false } },
    ],
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
