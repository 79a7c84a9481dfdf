// Runs the public test suites of the libraries that the middlewares replace against ours, on a memcached that listens
// on MEMCACHED (default localhost:11211). Build first. CHECKOUT is a checkout of the library with its own dependencies
// installed; it is copied, and stays as it is.
//
//   node conformance/peer-suites.js express-session CHECKOUT     npm install there, and test/support/gencert.sh
//   node conformance/peer-suites.js @nestjs/throttler CHECKOUT   npm install --legacy-peer-deps there
//   node conformance/peer-suites.js express-rate-limit CHECKOUT  npm install there
//
// express-session 1.19: 160 of 160. @nestjs/throttler 6.7: 11 of 11 and 31 of 33; the other two expect that localhost
// is ::1; this suite waits for real time, so that on a busy machine a request may come after its window.
// express-rate-limit 8.6: 238 of 243; four look at what is inside of its memory store, and one runs all fake timers at
// once, with a store of its own.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const built = (name) => fileURLToPath(new URL(`../packages/${name}/dist/cjs/index.js`, import.meta.url))

/** The options that express-session has by default, and its names of options. */
const SESSION_ADAPTER = `
const original = require('./original.js')
const { memcacheSession } = require(${JSON.stringify(built('express'))})

const asTheirs = (cookie) => ({ ...cookie, secure: cookie?.secure ?? false, sameSite: cookie?.sameSite ?? false })

function session({ key, name = key, resave = true, saveUninitialized = true, cookie, store, ...rest } = {}) {
  return memcacheSession({
    ...rest,
    name,
    resave,
    saveUninitialized,
    cookie: typeof cookie === 'function' ? (request) => asTheirs(cookie(request)) : asTheirs(cookie),
    store: store ?? new original.MemoryStore(),
  })
}

module.exports = Object.assign(session, original)
`

const REAL_TIMERS = `jest.useFakeTimers({ doNotFake: ${JSON.stringify([
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
])} })`

const THROTTLER_ADAPTER = `
import { Injectable } from '@nestjs/common'

const { MemcacheThrottlerStorage } = require(${JSON.stringify(built('nestjs'))})
const { memcache } = require(${JSON.stringify(built('kit'))})
let instances = 0

@Injectable()
export class ThrottlerStorageService {
  readonly storage = new Map()
  private readonly cache = memcache({
    servers: process.env.MEMCACHED ?? 'localhost:11211',
    prefix: \`throttler-\${Date.now()}-\${++instances}\`,
    logger: false,
  })
  private readonly counters = new MemcacheThrottlerStorage(this.cache)

  increment(...args: unknown[]): Promise<any> {
    return this.counters.increment(...args)
  }

  async onApplicationShutdown(): Promise<void> {
    await this.cache.close()
  }
}
`

/** The store of express-rate-limit that its tests use when they name none. */
const LIMIT_ADAPTER = `
const { MemcacheRateLimitStore } = require(${JSON.stringify(built('express'))})
const { memcache } = require(${JSON.stringify(built('kit'))})
let instances = 0

export class MemoryStore extends (MemcacheRateLimitStore as any) {
  declare increment: any
  declare decrement: any
  declare get: any
  declare resetKey: any
  declare resetAll: any
  localKeys = true
  validations: any
  opened: any
  windowMs: any

  constructor(validations?: any) {
    const cache = memcache({ servers: process.env.MEMCACHED ?? 'localhost:11211', logger: false })
    super({ prefix: \`express-rate-limit-\${process.pid}-\${Date.now()}-\${++instances}\`, cache })
    this.validations = validations
    this.opened = cache
  }

  init(options: any): void {
    this.windowMs = options.windowMs
    this.validations?.windowMs(this.windowMs)
    super.init(options)
  }

  async shutdown(): Promise<void> {
    await this.opened.close()
  }
}
`

const SUITES = {
  'express-rate-limit': (folder) => {
    writeFileSync(join(folder, 'source/memory-store.ts'), LIMIT_ADAPTER)
    const tests = join(folder, 'test/library')
    for (const name of readdirSync(tests).filter((each) => each.endsWith('.ts'))) {
      const text = readFileSync(join(tests, name), 'utf8')
      // Sockets need real timers: only the clock is the tests' own.
      writeFileSync(join(tests, name), text.replaceAll('jest.useFakeTimers()', REAL_TIMERS))
    }
    const args = ['--coverage', 'false', '--runInBand', '--forceExit']
    return [['npx', 'jest', ...args]]
  },
  'express-session': (folder) => {
    renameSync(join(folder, 'index.js'), join(folder, 'original.js'))
    writeFileSync(join(folder, 'index.js'), SESSION_ADAPTER)
    return [['npx', 'mocha', '--require', 'test/support/env', '--no-exit', '--reporter', 'dot', 'test/']]
  },
  '@nestjs/throttler': (folder) => {
    writeFileSync(join(folder, 'src/throttler.service.ts'), THROTTLER_ADAPTER)
    const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
    const configs = {
      unit: { ...read('package.json').jest, rootDir: 'src' },
      e2e: { ...read('test/jest-e2e.json'), rootDir: '.' },
    }
    return Object.entries(configs).map(([name, config]) => {
      // The decorators of one copy of Nest.
      const moduleNameMapper = { '^(@nestjs/.*|rxjs)$': join(folder, 'node_modules/$1') }
      const transform = { '^.+\\.ts$': 'ts-jest' }
      writeFileSync(join(folder, `${name}.json`), JSON.stringify({ ...config, moduleNameMapper, transform }))
      return ['npx', 'jest', '--config', `${name}.json`, '--runInBand', '--forceExit']
    })
  },
}

const [name, checkout] = process.argv.slice(2)
if (SUITES[name] === undefined || checkout === undefined) {
  console.error(`usage: node conformance/peer-suites.js ${Object.keys(SUITES).join('|')} CHECKOUT`)
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'peer-suite-'))
try {
  const modules = resolve(checkout, 'node_modules')
  cpSync(checkout, folder, { recursive: true, filter: (path) => resolve(path) !== modules })
  symlinkSync(modules, join(folder, 'node_modules'))
  const runs = SUITES[name](folder).map(([command, ...args]) =>
    spawnSync(command, args, { cwd: folder, stdio: 'inherit' }),
  )
  process.exitCode = runs.every(({ status }) => status === 0) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
