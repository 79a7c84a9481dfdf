import { execute, program, projectWith, write } from './project.js'

const tsconfig = {
  compilerOptions: {
    module: 'commonjs',
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    strict: true,
    esModuleInterop: true,
    isolatedModules: true,
    skipLibCheck: true,
    types: ['node', 'jest'],
  },
}

/** The ways in which jest compiles TypeScript, and the packages for each. */
const TRANSFORMS = {
  'ts-jest': { install: ['ts-jest@29', 'typescript@5.9'], transform: ['ts-jest', {}] },
  swc: {
    install: ['@swc/jest@0.2', '@swc/core@1'],
    transform: [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
      },
    ],
  },
  babel: {
    install: [
      '@babel/core@7',
      '@babel/preset-env@7',
      '@babel/preset-typescript@7',
      '@babel/plugin-proposal-decorators@7',
    ],
    transform: [
      'babel-jest',
      {
        presets: [['@babel/preset-env', { targets: { node: 'current' } }], '@babel/preset-typescript'],
        plugins: [['@babel/plugin-proposal-decorators', { version: '2023-11' }]],
      },
    ],
  },
}

/** In jsdom, bytes, signals and errors are of another realm than Node's. */
const JEST_CELLS = [
  ...Object.keys(TRANSFORMS).map((compiler) => ({ compiler, testEnvironment: 'node' })),
  { compiler: 'swc', testEnvironment: 'jsdom' },
]

/** @type {import('./project.js').Cell[]} */
export const testRunnerCells = [
  ...[29, 30].flatMap((major) =>
    JEST_CELLS.map(({ compiler, testEnvironment }) => ({
      name: `jest ${major} with ${compiler}${testEnvironment === 'node' ? '' : ` in ${testEnvironment}`}`,
      async run(context) {
        const { install, transform } = TRANSFORMS[compiler]
        const jest = [`jest@${major}`, `babel-jest@${major}`, '@types/jest@29', '@types/node@20']
        if (testEnvironment !== 'node') jest.push(`jest-environment-${testEnvironment}@${major}`)
        const project = await projectWith(context, [...jest, ...install], { type: 'commonjs', name: 'jest' })
        const config = { testRegex: '\\.spec\\.ts$', transform: { '\\.[jt]s$': transform }, testEnvironment }
        write(project, { 'tsconfig.json': JSON.stringify(tsconfig), 'jest.config.json': JSON.stringify(config) })
        program('service.spec.ts', project)
        await execute('npx', ['--no-install', 'jest', '--config', 'jest.config.json'], project)
      },
    })),
  ),
  ...[3, 4].map((major) => ({
    name: `vitest ${major}`,
    async run(context) {
      const project = await projectWith(context, [`vitest@${major}`, '@types/node@20'], { name: 'vitest' })
      write(project, {
        'tsconfig.json': JSON.stringify({
          compilerOptions: { ...tsconfig.compilerOptions, module: 'nodenext', types: ['node'] },
        }),
        'vitest.config.mjs': 'export default { test: { globals: true } }\n',
      })
      program('service.spec.ts', project)
      await execute('npx', ['--no-install', 'vitest', 'run'], project)
    },
  })),
]
