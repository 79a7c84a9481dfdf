/**
 * Mutation tests: Stryker changes the code in one place after the other, and says which changes no test notices. `npm
 * run mutate` takes some hours on two cores; `npm run mutate -- --mutate packages/protocol/src/key.ts` runs one file.
 */
export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
  mutate: [
    'packages/protocol/src/key.ts',
    'packages/kit/src/engine/cache-key.ts',
    'packages/kit/src/declare/argument-key.ts',
    'packages/kit/src/session/session-merge.ts',
    'packages/kit/src/http/policy/cache-directives.ts',
    'packages/kit/src/http/policy/freshness.ts',
    'packages/kit/src/http/policy/storage-policy.ts',
  ],
  coverageAnalysis: 'perTest',
  concurrency: 2,
  timeoutMS: 20_000,
  tempDirName: 'test/mutation/.stryker',
  inPlace: true,
  reporters: ['clear-text', 'progress-append-only'],
  clearTextReporter: { allowColor: false, reportTests: false, reportScoreTable: true },
  disableTypeChecks: false,
}
