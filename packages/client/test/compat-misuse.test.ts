import { MemcachedServer } from 'memcache-ts-server'
import { freePort } from 'memcache-ts-testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Memcached } from '../src/compat/memcached.ts'
import { Client } from '../src/compat/memjs.ts'
import { MemcachedClient, MemcacheError, MemcacheOptionError } from '../src/index.ts'

/** Callbacks and loggers that applications pass by mistake, or that throw: neither ends the process. */

const server = new MemcachedServer({ port: 0 })
let address: string
beforeAll(async () => {
  address = `127.0.0.1:${(await server.listen()).port}`
})
afterAll(() => server.close())

type Method = (...args: unknown[]) => unknown
/** The methods of memjs, with the arguments before the callback. */
const CALLS: readonly [name: string, args: readonly unknown[]][] = [
  ['get', ['k']],
  ['set', ['k', 'v', {}]],
  ['add', ['k', 'v', {}]],
  ['replace', ['k', 'v', {}]],
  ['delete', ['k']],
  ['increment', ['n', 1, {}]],
  ['decrement', ['n', 1, {}]],
  ['append', ['k', 'v']],
  ['prepend', ['k', 'v']],
  ['touch', ['k', 5]],
]

it.each(CALLS)('memjs refuses anything but a function as the callback of %s', async (name, args) => {
  const memjs = Client.create(address, { timeout: 60 })
  const method = (memjs as unknown as Record<string, Method>)[name]!.bind(memjs)
  for (const callback of [5, 'callback', {}, [], true, Symbol('callback')]) {
    await expect(method(...args, callback)).rejects.toThrow('callback must be a function, got ')
    await expect(method(...args, callback)).rejects.toBeInstanceOf(MemcacheOptionError)
  }
  // Programs pass null where they have no callback.
  await expect(method(...args, null)).resolves.not.toBeUndefined()
  memjs.close()
})

it.each(CALLS)('memjs rejects %s with its own error if the logger throws', async (name, args) => {
  const uncaught: unknown[] = []
  const onUncaught = (error: unknown): void => void uncaught.push(error)
  const earlier = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').on('uncaughtException', onUncaught)
  const thrown = new Error('the disk is full')
  const log = (): never => {
    throw thrown
  }
  const memjs = Client.create(`127.0.0.1:${await freePort()}`, { timeout: 60, logger: { log } })
  const method = (memjs as unknown as Record<string, Method>)[name]!.bind(memjs)
  await expect(method(...args)).rejects.toBeInstanceOf(MemcacheError)
  await expect.poll(() => uncaught).toEqual([thrown])
  memjs.close()
  process.removeListener('uncaughtException', onUncaught)
  for (const listener of earlier) process.on('uncaughtException', listener)
})

it('has no default for null: a missing setting is not taken for a choice', () => {
  for (const name of ['servers', 'timeoutMs', 'prefix', 'values', 'compression', 'tls', 'username']) {
    expect(() => new MemcachedClient({ [name]: null })).toThrow(`${name} must not be null`)
  }
})

const { proxy: revoked, revoke } = Proxy.revocable([], {})
revoke()
function fail(): never {
  throw new Error('mine')
}
const ANYTHING: readonly unknown[] = [
  undefined,
  null,
  0,
  -1,
  NaN,
  Infinity,
  1e300,
  5n,
  true,
  '',
  'a b',
  '\ud800',
  'k'.repeat(300),
  {},
  [],
  [null],
  [{}],
  [Symbol('part')],
  Symbol('key'),
  new Map(),
  Buffer.from('a'),
  Object.create(null),
  revoked,
  { toString: fail, valueOf: fail, toJSON: fail },
]

/** The methods of npm memcached, each with arguments that are valid. */
const NPM_CALLS: readonly [name: string, args: readonly unknown[]][] = [
  ['get', ['k']],
  ['gets', ['k']],
  ['getMulti', [['k', 'l']]],
  ['set', ['k', 'v', 5]],
  ['add', ['k', 'v', 5]],
  ['replace', ['k', 'v', 5]],
  ['cas', ['k', 'v', '1', 5]],
  ['append', ['k', 'v']],
  ['prepend', ['k', 'v']],
  ['touch', ['k', 5]],
  ['del', ['k']],
  ['incr', ['n', 1]],
  ['decr', ['n', 1]],
  ['cachedump', ['127.0.0.1:1', 1, 10]],
]

/** Returns whether an error is one that the calls are documented to fail with. */
function isKnown(error: unknown): boolean {
  if (Array.isArray(error)) return error.every(isKnown)
  return error instanceof MemcacheError || (error instanceof Error && 'notStored' in error)
}

it.each(NPM_CALLS)(
  'npm memcached answers %s with a result or an error of ours, whatever it is given',
  async (name, args) => {
    const memcached = new Memcached(address, { timeout: 60_000 })
    const method = (memcached as unknown as Record<string, Method>)[name]!.bind(memcached)
    for (let index = 0; index < args.length; index++) {
      for (const value of ANYTHING) {
        const given = args.with(index, value)
        await (method(...given) as Promise<unknown>).catch((error: unknown) => expect(isKnown(error)).toBe(true))
        const calls: unknown[][] = []
        const calledBack = new Promise<void>((resolve) => {
          method(...given, (...results: unknown[]) => {
            calls.push(results)
            resolve()
          })
        })
        await calledBack
        expect(calls).toHaveLength(1)
        if (calls[0]![0] !== undefined) expect(isKnown(calls[0]![0])).toBe(true)
      }
    }
    memcached.end()
  },
)

it('npm memcached refuses keys for multi that are no array', () => {
  const memcached = new Memcached(address)
  for (const keys of [5, 'k', {}, new Map(), Symbol('keys'), revoked]) {
    expect(() => memcached.multi(keys as never, () => {})).toThrow(MemcacheOptionError)
  }
  memcached.end()
})
