import { workspacePackages } from './build/packages.js'

/** The entries of a package: applications use their exports. */
function entriesOf(name) {
  const { entries } = workspacePackages().find(({ folder }) => folder.endsWith(`/${name}`))
  return entries.map(({ source }) => source)
}

export default {
  workspaces: {
    '.': {
      entry: [
        'bench/{bench,judge}.js',
        'bench/{cache,client}/worker.js',
        'bench/express/{load,server}.js',
        'bench/judge/{caller,response-cache-process}.js',
        'bench/nest/app.js',
        'bench/server/{load,probe}.js',
        'conformance/*.js',
        'test/*.{ts,js}',
        'test/mutation/vitest.config.ts',
        'test/fixtures/consumer/*',
        'test/fixtures/matrix/*',
        'examples/starts/*',
        'build/{bundle,write-entries}.js',
        'test/flows/compiled-files.js',
      ],
      project: ['bench/**/*.js', 'conformance/*.js', 'test/**/*.ts', '!test/fixtures/nest-app/**'],
      ignoreDependencies: ['tslib', '@arethetypeswrong/cli', 'fastify'],
      ignoreBinaries: ['taskset', 'redis-server', 'nginx', 'varnishd', 'prove', 'promtool'],
    },
    'packages/server': {
      entry: [...entriesOf('server'), 'src/cli.ts', 'bin/*.js', 'page/*.js', 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
      ignoreBinaries: ['memccapable', 'memcexist', 'promtool'],
    },
    'packages/kit': {
      entry: [
        ...entriesOf('kit'),
        'bin/*.js',
        'src/cli/main.ts',
        'test/**/*.{test,test-d}.ts',
        'test/fixtures/**/*.ts',
      ],
      project: ['src/**/*.ts', 'test/**/*.ts'],
      ignoreBinaries: ['script', 'promtool'],
    },
    'packages/nestjs': {
      entry: [...entriesOf('nestjs'), 'test/**/*.{test,test-d}.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
      ignoreDependencies: ['@as-integrations/.*'],
    },
    'packages/fastify': {
      entry: [...entriesOf('fastify'), 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
      ignoreDependencies: ['@fastify/session'],
    },
    'packages/testing': {
      project: ['src/**/*.ts'],
      ignoreBinaries: ['saslpasswd2', 'openssl'],
    },
    'examples/cities-data': {
      project: ['src/**/*.ts', 'test/**/*.ts'],
    },
    'examples/cities-nest': {
      entry: ['src/main.ts', 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
    },
    'packages/client': {
      entry: [...entriesOf('client'), 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
      ignoreDependencies: ['hashring'],
    },
    'packages/protocol': {
      entry: [...entriesOf('protocol'), 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
    },
    'packages/express': {
      entry: [...entriesOf('express'), 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
    },
    'examples/*': {
      entry: ['src/main.ts', 'public/*.js', 'test/**/*.test.ts'],
      project: ['src/**/*.ts', 'test/**/*.ts'],
      ignoreDependencies: ['@fontsource-variable/.*'],
    },
  },
}
