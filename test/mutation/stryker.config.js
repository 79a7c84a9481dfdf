/**
 * Mutation tests: Stryker changes the code in one place after the other, and says which changes no test notices. `npm run mutate` takes about a quarter of an
 * hour; the surviving mutants are read by a person, docs/decisions says what came of them.
 */
export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
  mutate: [
    'packages/protocol/src/key.ts',
    'packages/kit/src/session/session-merge.ts',
    'packages/kit/src/http/response-policy.ts',
    'packages/kit/src/http/cache-directives.ts',
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
