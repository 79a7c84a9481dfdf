import { inspect } from 'node:util'
import { MemcachedServer } from 'memcache-ts-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheError } from '../src/index.ts'

/**
 * Every argument of every method, given every kind of value: the call works, or rejects with a `MemcacheError`, and
 * nothing else breaks.
 */

const server = new MemcachedServer({ port: 0 })
let client: MemcachedClient
beforeAll(async () => {
  client = new MemcachedClient({ servers: `127.0.0.1:${(await server.listen()).port}`, timeoutMs: 5000 })
})
afterAll(async () => {
  await client.close()
  await server.close()
})

function fail(): never {
  throw new Error('mine')
}
const { proxy: revoked, revoke } = Proxy.revocable([], {})
revoke()
const throwing = new Proxy({}, { get: fail, getPrototypeOf: fail, ownKeys: fail, has: fail })

const ANYTHING: readonly unknown[] = [
  undefined,
  null,
  0,
  -0,
  -1,
  NaN,
  1.5,
  Infinity,
  2 ** 53,
  5n,
  -5n,
  2n ** 64n,
  true,
  '',
  ' ',
  '5',
  'a\r\nflush_all',
  '\ud800',
  'k'.repeat(300),
  Symbol('a'),
  fail,
  {},
  [],
  [[]],
  [null],
  ['a', {}],
  new Map(),
  new Date(NaN),
  Object.create(null),
  revoked,
  throwing,
  new Proxy(Buffer.from('a'), {}),
  Object.create(Uint8Array.prototype),
  new Uint8Array(0),
  new Uint8Array(300),
  new Uint16Array(3),
  Promise.resolve(1),
  new String('a'),
  { toString: fail, [Symbol.toPrimitive]: fail },
]

/** Values that cannot be read as options: reading them runs code of the caller, and its errors are the caller's. */
const UNREADABLE = new Set<unknown>([revoked, throwing])

type Method = (...args: unknown[]) => unknown
const KEY = 'k'

/** The methods, and for each of their arguments those before it. */
const METHODS: readonly [name: string, before: readonly unknown[]][] = [
  ...['get', 'gets', 'delete', 'incr', 'decr', 'getMulti', 'serverOf'].map((name): [string, unknown[]] => [name, []]),
  ...[
    'get',
    'gets',
    'delete',
    'gat',
    'gats',
    'touch',
    'incr',
    'decr',
    'set',
    'add',
    'replace',
    'append',
    'prepend',
  ].map((name): [string, unknown[]] => [name, [KEY]]),
  ...['gat', 'gats', 'touch', 'set', 'add', 'replace', 'append', 'prepend', 'cas'].map((name): [string, unknown[]] => [
    name,
    [],
  ]),
  ...['incr', 'gat', 'touch', 'set', 'add', 'replace', 'append', 'cas'].map((name): [string, unknown[]] => [
    name,
    [KEY, 5],
  ]),
  ...['getsMulti', 'setMulti', 'deleteMulti'].map((name): [string, unknown[]] => [name, []]),
  ['setMulti', [[[KEY, 'v']]]],
  ['getMulti', [[KEY]]],
  ['getsMulti', [[KEY]]],
  ['deleteMulti', [[KEY]]],
  ['set', [KEY, 'v', 5]],
  ['cas', [KEY, 'v', 5n]],
  ...['stats', 'flushAll', 'verbosity', 'version', 'ping'].map((name): [string, unknown[]] => [name, []]),
  ...['stats', 'verbosity'].map((name): [string, unknown[]] => [name, [undefined]]),
  ...['meta.get', 'meta.set', 'meta.delete', 'meta.arithmetic', 'meta.debug'].map((name): [string, unknown[]] => [
    name,
    [],
  ]),
  ...['meta.get', 'meta.set', 'meta.delete', 'meta.arithmetic', 'meta.debug'].map((name): [string, unknown[]] => [
    name,
    [KEY],
  ]),
  ['meta.set', [KEY, 'v']],
]

/** How many arguments methods have before their options. */
const OPTIONS_AFTER: Readonly<Record<string, number>> = {
  get: 1,
  gets: 1,
  delete: 1,
  gat: 2,
  gats: 2,
  touch: 2,
  incr: 2,
  decr: 2,
  set: 3,
  add: 3,
  replace: 3,
  append: 2,
  prepend: 2,
  cas: 4,
  getMulti: 1,
  getsMulti: 1,
  setMulti: 2,
  deleteMulti: 1,
  stats: 1,
  flushAll: 1,
  verbosity: 1,
  version: 0,
  ping: 0,
  serverOf: 1,
  'meta.get': 1,
  'meta.set': 2,
  'meta.delete': 1,
  'meta.arithmetic': 1,
  'meta.debug': 1,
}

/** Options by which calls differ, each given everything. */
const OPTIONS: readonly [name: string, before: readonly unknown[], options: readonly string[]][] = [
  ['get', [KEY], ['timeoutMs', 'signal', 'groupKey', 'server']],
  ['set', [KEY, 'v', 5], ['timeoutMs', 'signal', 'groupKey', 'server']],
  ['getMulti', [[KEY]], ['timeoutMs', 'signal', 'groupKey', 'server']],
  ['incr', ['n', 1], ['initial', 'ttl']],
  ['meta.get', [KEY], ['vivifySeconds', 'recacheSeconds', 'touchTtl', 'newCas', 'noBump', 'access', 'value']],
  ['meta.set', [KEY, 'v'], ['ttl', 'mode', 'compareCas', 'invalidate', 'newCas', 'vivifyTtl']],
  ['meta.delete', [KEY], ['compareCas', 'invalidate', 'removeValue', 'ttl', 'newCas']],
  ['meta.arithmetic', ['n'], ['delta', 'mode', 'initial', 'vivifyTtl', 'ttl', 'compareCas', 'newCas']],
]

function method(name: string): Method {
  const [owner, own] = name.startsWith('meta.') ? [client.meta, name.slice(5)] : [client, name]
  const found = (owner as unknown as Record<string, Method>)[own]!
  return (...args) => found.apply(owner, args)
}

/** Returns a description of the broken property; `undefined` if it holds. */
async function check(call: () => unknown, isSync: boolean): Promise<string | undefined> {
  let promise: unknown
  try {
    promise = call()
  } catch (error) {
    return isSync && error instanceof MemcacheError ? undefined : `throws ${inspect(error).split('\n')[0]}`
  }
  try {
    await promise
  } catch (error) {
    if (!(error instanceof MemcacheError)) return `rejects with ${inspect(error).split('\n')[0]}`
  }
  return undefined
}

function show(value: unknown): string {
  if (value === throwing) return 'a proxy that throws'
  return inspect(value, { customInspect: false }).slice(0, 30)
}

describe('any value', () => {
  it.each(METHODS.map(([name, before]) => ({ name, before })))('for $name after $before', async ({ name, before }) => {
    const problems: string[] = []
    for (const value of ANYTHING) {
      if (before.length >= OPTIONS_AFTER[name]! && UNREADABLE.has(value)) continue
      // oxlint-disable-next-line no-await-in-loop -- one after the other, so that it is known which one it was
      const problem = await check(() => method(name)(...before, value), name === 'serverOf')
      if (problem !== undefined) problems.push(`${show(value)}: ${problem}`)
    }
    expect(problems).toEqual([])
    await client.set('bystander', 1)
    expect(await client.get('bystander')).toBe(1)
  })

  it.each(OPTIONS.flatMap(([name, before, options]) => options.map((option) => ({ name, before, option }))))(
    'for the option $option of $name',
    async ({ name, before, option }) => {
      const problems: string[] = []
      for (const value of ANYTHING) {
        if (option === 'signal' && UNREADABLE.has(value)) continue
        // oxlint-disable-next-line no-await-in-loop -- one after the other, so that it is known which one it was
        const problem = await check(() => method(name)(...before, { [option]: value }), false)
        if (problem !== undefined) problems.push(`${show(value)}: ${problem}`)
      }
      expect(problems).toEqual([])
      await client.set('bystander', 1)
      expect(await client.get('bystander')).toBe(1)
    },
  )

  it('for the visit of metadump, which must be a function', async () => {
    for (const value of ANYTHING.filter((one) => typeof one !== 'function')) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(client.metadump(value as never)).rejects.toBeInstanceOf(MemcacheError)
    }
  })
})
