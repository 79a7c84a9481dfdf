import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('..', import.meta.url))
// Inside the workspace, so that the packages are found as a user's project finds them.
const FOLDER = join(ROOT, 'test', '.documents')

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(ROOT, 'docs/decisions')).map((name) => `docs/decisions/${name}`),
  ...['protocol', 'server', 'client', 'kit', 'express', 'fastify', 'nestjs'].map(
    (name) => `packages/${name}/README.md`,
  ),
]

function read(document: string): string {
  return readFileSync(join(ROOT, document), 'utf8')
}

function blocks(document: string, language: string): string[] {
  return [...read(document).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1]!)
}

/** The fences of examples, and their compiler options: Nest's decorators are TypeScript's legacy decorators. */
const FENCES = {
  ts: {},
  'ts nest': { experimentalDecorators: true, emitDecoratorMetadata: true },
}
/** The projects that an example is pasted into: one of ES modules, and one of CommonJS, as Nest 11 makes it. */
const PROJECTS = {
  'ES modules': { type: 'module', module: 'nodenext' },
  CommonJS: { type: 'commonjs', module: 'commonjs', moduleResolution: 'bundler', esModuleInterop: true },
}

const folderOf = (project: string, fence: string): string =>
  join(FOLDER, project.replace(' ', '-'), fence.replace(' ', '-'))

function isFirstFence(document: string, fence: string): boolean {
  return /^```(ts(?: nest)?)$/m.exec(read(document))?.[1] === fence
}

const examples = documents.flatMap((document) =>
  Object.keys(FENCES).flatMap((fence) =>
    blocks(document, fence).map((code, index) => ({
      name: `${document}, ${fence} ${index + 1}`,
      fence,
      file: `${document.replaceAll(/\W/g, '-')}-${index + 1}`,
      isFirst: document.endsWith('README.md') && index === 0 && isFirstFence(document, fence),
      code,
    })),
  ),
)

/**
 * CommonJS has no top-level `await`: there, a reader puts what an example does into a function. The first example of
 * each README is pasted as it is, since what a reader meets first has to run everywhere.
 */
function inFunction(code: string): string {
  if (!/\bawait\b/.test(code) || /^void main\(\)/m.test(code)) return code
  const statements = code.split(/^(?=\S)(?![})\]])/m)
  const isOutside = (statement: string): boolean => /^(import|declare) /.test(statement)
  const inside = statements.filter((statement) => !isOutside(statement)).join('')
  return `${statements.filter(isOutside).join('')}async function main() {\n${inside}}\nvoid main()\n`
}

/** Returns the lines that an example claims to print. */
function documentedBy(code: string): string[] {
  return [...code.matchAll(/\/\/ => (.*)$/gm)].map((match) => match[1]!)
}

/** Returns the lines that an example prints; it has to end by itself. */
async function printedBy(file: string): Promise<string[]> {
  const { PATH } = process.env
  const { stdout } = await run(process.execPath, [file], { timeout: 120_000, env: { PATH } })
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('memcache-ts: '))
}

describe('the examples in the documents', () => {
  beforeAll(() => {
    rmSync(FOLDER, { recursive: true, force: true })
    const options = {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable', 'esnext.decorators', 'dom'],
      types: ['node'],
      strict: true,
      skipLibCheck: true,
      rootDir: '.',
      outDir: 'dist',
    }
    for (const [project, { type, ...modules }] of Object.entries(PROJECTS)) {
      for (const [fence, own] of Object.entries(FENCES)) {
        const folder = folderOf(project, fence)
        mkdirSync(folder, { recursive: true })
        writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
        const config = { compilerOptions: { ...options, ...modules, ...own }, include: ['*.ts'] }
        writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
      }
      for (const { fence, file, isFirst, code } of examples) {
        const pasted = project === 'CommonJS' && !isFirst ? inFunction(code) : code
        writeFileSync(join(folderOf(project, fence), `${file}.ts`), pasted)
      }
    }
  })
  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

  it.each(Object.keys(PROJECTS).flatMap((project) => Object.keys(FENCES).map((fence) => [fence, project])))(
    'in %s compile in a project of %s, as strict as a user’s',
    (fence, project) => {
      const { stdout, status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folderOf(project!, fence!)], {
        encoding: 'utf8',
      })
      expect(stdout).toBe('')
      expect(status).toBe(0)
    },
  )

  it('of the code before a migration compile too', () => {
    const before = documents.flatMap((document) => blocks(document, 'ts before'))
    expect(before.length).toBeGreaterThan(4)
    const folder = join(FOLDER, 'before')
    mkdirSync(folder)
    const options = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      skipLibCheck: true,
      noEmit: true,
      types: ['node'],
      esModuleInterop: true,
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
    before.forEach((code, index) => writeFileSync(join(folder, `before-${index + 1}.ts`), code))
    const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
    expect(stdout).toBe('')
    // JavaScript without types is parsed.
    for (const code of documents.flatMap((document) => blocks(document, 'js before'))) {
      const { status } = spawnSync(process.execPath, ['--check', '-'], { input: code })
      expect(status).toBe(0)
    }
  })

  it.each(examples)(
    '$name prints what it says, and ends, in a project of either kind',
    async ({ fence, file, code }) => {
      const documented = documentedBy(code)
      expect(documented.length).toBeGreaterThan(0)
      const printed = Object.keys(PROJECTS).map((project) =>
        printedBy(join(folderOf(project, fence), 'dist', `${file}.js`)),
      )
      // A lifetime in `Cache-Status` has become shorter if a second has ended since the response was stored.
      const withoutTtl = (lines: unknown): unknown => JSON.parse(JSON.stringify(lines).replaceAll(/\bttl=\d+/g, 'ttl'))
      expect(withoutTtl(await Promise.all(printed))).toEqual(withoutTtl([documented, documented]))
    },
  )
})

function errorOf(call: () => unknown): string {
  try {
    call()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

describe('the names in the documents', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }

  it.each(documents)('%s: commands are scripts of the workspace', (document) => {
    for (const [, run] of read(document).matchAll(/npm run ([\w:-]+)/g)) expect(scripts).toHaveProperty([run!])
    for (const [, run] of read(document).matchAll(/npm (start|test)\b/g)) expect(scripts).toHaveProperty([run!])
  })

  it.each(documents)('%s: files and folders are there', (document) => {
    const text = read(document)
    const named = [...text.matchAll(/`((?:packages|examples|bench|docs|test)\/[^`*…{}<>]+)`/g)].map(
      (match) => match[1]!,
    )
    const from = document.includes('/') ? document.slice(0, document.lastIndexOf('/')) : '.'
    const linked = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => join(from, match[1]!))
    for (const path of [...named, ...linked])
      expect(existsSync(join(ROOT, path)), `${document} names ${path}`).toBe(true)
  })

  it('docs/format.md: every client flag and key prefix of the code is in its lists', async () => {
    const { ClientFlags } = await import('memcache-ts-protocol')
    const { KeyPrefix } = await import('memcache-ts/adapter')
    for (const flags of Object.values(ClientFlags))
      expect(read('docs/format.md')).toMatch(new RegExp(`^- ${flags}: `, 'm'))
    for (const prefix of Object.values(KeyPrefix)) expect(read('docs/format.md')).toContain(`- \`${prefix}:`)
  })

  it('packages/client/README.md: every option, preset, hash and error of the client is in its tables', () => {
    const readme = read('packages/client/README.md')
    const source = read('packages/client/src/options.ts')
    const options = [...source.matchAll(/^ {2}'(\w+)',$/gm)].map((match) => match[1]!)
    expect(options.length).toBeGreaterThan(15)
    for (const option of options) expect(readme).toMatch(new RegExp(`^\\| .*\`${option}\`.* \\|`, 'm'))
    const presets = /const PRESETS = \{(.*?)\}/s.exec(read('packages/client/src/compat/presets/preset-codec.ts'))![1]!
    for (const [, preset] of presets.matchAll(/^ {2}'?([\w-]+)'?:/gm)) expect(readme).toContain(`\`'${preset}'\``)
    const routers = /const ROUTERS = \{(.*?)\}/s.exec(read('packages/client/src/routing/create-router.ts'))![1]!
    for (const [, hash] of routers.matchAll(/^ {2}'?([\w-]+)'?:/gm)) expect(readme).toContain(`\`'${hash}'\``)
    const codes = [...read('packages/protocol/src/errors.ts').matchAll(/^ {2}\| '(ERR_MEMCACHE_\w+)'/gm)]
    // The client runs no loaders, and limits nothing.
    for (const [, code] of codes)
      if (!/LOADER|LIMIT/.test(code!)) expect(readme).toMatch(new RegExp(`^\\| \`${code}\` +\\|`, 'm'))
  })

  it('packages/server/README.md: every option is in its tables', () => {
    const readme = read('packages/server/README.md')
    for (const [file, type] of [
      ['options.ts', 'MemcachedServerOptions'],
      ['tls/tls-options.ts', 'ServerTlsOptions'],
    ]) {
      const source = read(`packages/server/src/${file}`)
      const body = source.slice(source.indexOf(`export interface ${type} {`)).split('\n}\n', 1)[0]!
      const options = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map((match) => match[1]!)
      expect(options.length).toBeGreaterThan(5)
      // Where the time comes from is for tests.
      for (const option of options.filter((name) => name !== 'clock')) {
        expect(readme).toMatch(new RegExp(`^\\| [^|]*\`${option}\``, 'm'))
      }
    }
  })

  /** The options that a list of a README names, below its title. */
  function optionsBelow(document: string, title: string): string[] {
    const readme = read(document)
    expect(readme).toContain(title)
    const list = readme.slice(readme.indexOf(`${title}\n`)).split(/\n\n(?!- `)/, 1)[0]!
    const heads = [...list.matchAll(/^- (`\w+`(?:, `\w+`)*)(?:: | \()/gm)].map((match) => match[1]!)
    return heads.flatMap((head) => [...head.matchAll(/`(\w+)`/g)].map((match) => match[1]!))
  }

  it('packages/nestjs/README.md: every option, and no other, is in its lists', async () => {
    const { MEMCACHE_OPTIONS } = await import('memcache-ts/adapter')
    const { REQUEST_RATE_LIMIT_OPTIONS } = await import('memcache-ts/rate-limit')
    const { RESPONSE_CACHE_OPTIONS } = await import('memcache-ts/http')
    const lists = {
      'Options of `forRoot`:': [...MEMCACHE_OPTIONS, 'cache', 'rateLimit', 'name', 'isGlobal'],
      'Options of `@CacheResponse`:': [...RESPONSE_CACHE_OPTIONS, 'tags', 'key', 'condition'],
      'Options of `@RateLimit`:': REQUEST_RATE_LIMIT_OPTIONS,
      'Options of `check`:': ['optional', 'timeoutMs'],
    }
    for (const [title, options] of Object.entries(lists)) {
      expect(optionsBelow('packages/nestjs/README.md', title).sort(), title).toEqual([...options].sort())
    }
  })

  it('packages/express/README.md: every option, and no other, is in its lists', async () => {
    const express = await import('memcache-ts-express')
    const knownBy = (call: (options: never) => unknown): string[] => {
      const error = errorOf(() => call({ thereIsNone: 1 } as never))
      return /it knows ([\w, ]+)/.exec(error)![1]!.split(', ')
    }
    const lists = {
      'Options of `memcacheSession`:': [...knownBy(express.memcacheSession), 'property'],
      'Options of `MemcacheStore`:': knownBy((options) => new express.MemcacheStore(options)),
      'Options of `rateLimit`:': knownBy(express.rateLimit),
      'Options of `MemcacheRateLimitStore`:': knownBy((options) => new express.MemcacheRateLimitStore(options)),
      'Options of `cacheResponse`:': knownBy(express.cacheResponse),
    }
    // As in express-session.
    const others = ['genid', 'name', 'proxy', 'resave', 'rolling', 'saveUninitialized', 'unset']
    for (const [title, options] of Object.entries(lists)) {
      const named = new Set(optionsBelow('packages/express/README.md', title))
      expect(
        [...named].filter((name) => !options.includes(name)),
        title,
      ).toEqual([])
      expect(
        options.filter((name) => !named.has(name) && !others.includes(name)),
        title,
      ).toEqual([])
    }
  })

  it('packages/kit/README.md: every option and counter of the cache is in its lists', async () => {
    const readme = read('packages/kit/README.md')
    const optionLists = readme.slice(readme.indexOf('## Options of memcache()'), readme.indexOf('## Declared caches'))
    for (const file of ['memcache-options', 'engine/load/get-or-set-options', 'engine/memory/memory-tier']) {
      const source = read(`packages/kit/src/${file}.ts`)
      const lists = [...source.matchAll(/^(?:export )?const [A-Z_]+ = \[(.*?)\]/gms)].map((match) => match[1]!)
      const options = lists.flatMap((list) => [...list.matchAll(/'(\w+)'/g)].map((match) => match[1]!))
      expect(options.length).toBeGreaterThan(3)
      for (const option of options) expect(optionLists).toMatch(new RegExp(`\`[^\`]*\\b${option}\\b[^\`]*\``))
    }
    const { memcache } = await import('memcache-ts')
    await using cache = memcache('127.0.0.1:1')
    for (const counter of Object.keys(cache.stats())) {
      expect(readme).toMatch(new RegExp(`^- [^:]*\`${counter}\``, 'm'))
    }
  })

  it('every error code has a class', async () => {
    const protocol = await import('memcache-ts-protocol')
    const codes = [...read('packages/protocol/src/errors.ts').matchAll(/^ {2}\| '(ERR_MEMCACHE_\w+)'/gm)].map(
      (match) => match[1],
    )
    const made = Object.entries(protocol)
      .filter(([name]) => /^Memcache\w+Error$/.test(name))
      .map(([name, Kind]) => {
        // A bundler may shorten the name of a class, but not the name of its errors.
        const Shortened = Object.defineProperty(Kind, 'name', { value: 'x' })
        const error = new (Shortened as new (message: string) => { code: string; name: string })('x')
        expect(error.name).toBe(name)
        return error.code
      })
    expect(made.filter((code) => code.startsWith('ERR_')).sort()).toEqual(codes.sort())
  })
})
