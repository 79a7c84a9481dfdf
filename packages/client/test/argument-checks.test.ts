import { MemcachedServer } from 'memcache-ts-server'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import { operationChannel } from '../src/tracing.ts'

/** Every method that takes options, called with some. */
const METHODS: Record<string, (client: MemcachedClient, options: object) => Promise<unknown>> = {
  get: (client, options) => client.get('k', options),
  gets: (client, options) => client.gets('k', options),
  gat: (client, options) => client.gat('k', 10, options),
  gats: (client, options) => client.gats('k', 10, options),
  getMulti: (client, options) => client.getMulti(['k'], options),
  getsMulti: (client, options) => client.getsMulti(['k'], options),
  set: (client, options) => client.set('k', 'v', 10, options),
  setMulti: (client, options) => client.setMulti([['k', 'v']], 10, options),
  add: (client, options) => client.add('k', 'v', 10, options),
  replace: (client, options) => client.replace('k', 'v', 10, options),
  append: (client, options) => client.append('k', 'v', options),
  prepend: (client, options) => client.prepend('k', 'v', options),
  cas: (client, options) => client.cas('k', 'v', 1n, 10, options),
  touch: (client, options) => client.touch('k', 10, options),
  delete: (client, options) => client.delete('k', options),
  deleteMulti: (client, options) => client.deleteMulti(['k'], options),
  incr: (client, options) => client.incr('n', 1, options),
  decr: (client, options) => client.decr('n', 1, options),
  flushAll: (client, options) => client.flushAll(0, options),
  version: (client, options) => client.version(options),
  stats: (client, options) => client.stats(undefined, options),
  metadump: (client, options) => client.metadump(() => {}, options),
  verbosity: (client, options) => client.verbosity(1, options),
  'meta.get': (client, options) => client.meta.get('k', options),
  'meta.set': (client, options) => client.meta.set('k', 'v', options),
  'meta.delete': (client, options) => client.meta.delete('k', options),
  'meta.arithmetic': (client, options) => client.meta.arithmetic('n', options),
  'meta.debug': (client, options) => client.meta.debug('k', options),
  'meta.noop': (client, options) => client.meta.noop(options),
}
const KNOWN_TO_ALL = { timeoutMs: 5000, signal: new AbortController().signal, server: undefined, groupKey: undefined }

describe.each(Object.entries(METHODS))('%s', (name, call) => {
  it('refuses unknown options, and names the most similar option', async () => {
    await using server = new MemcachedServer({ port: 0 })
    await using client = new MemcachedClient({
      servers: `127.0.0.1:${(await server.listen()).port}`,
      timeoutMs: 20_000,
    })
    // It refuses them while discovery is pending, too, and while a tracer listens.
    await using waiting = new MemcachedClient({ servers: '127.0.0.1:1', discovery: true, connectTimeoutMs: 60_000 })
    const refusal = (options: object, by = client): Promise<unknown> =>
      call(by, options).catch((error: unknown) => error)
    const subscriber = { start: () => {} }
    for (const options of [{ timeoutMS: 5 }, { timeout: 5 }, { timeOutMs: undefined }]) {
      const expected = { message: expect.stringContaining(`is \`timeoutMs\` here`) as string }
      expect(await refusal(options)).toMatchObject(expected)
      expect(await refusal(options, waiting)).toMatchObject(expected)
      operationChannel.subscribe(subscriber as never)
      expect(await refusal(options)).toMatchObject(expected)
      operationChannel.unsubscribe(subscriber as never)
    }
    for (const options of [{ deadline: 5 }, { constructor: 5 }, { 5: 5 }, { ...KNOWN_TO_ALL, qwertz: 1 }]) {
      const error = await refusal(options)
      expect(error).toBeInstanceOf(MemcacheOptionError)
      expect((error as Error).message).toMatch(new RegExp(`^${name.replace('.', String.raw`\.`)} has no option '`))
    }
  })

  it('takes the options of every call', async () => {
    await using server = new MemcachedServer({ port: 0 })
    await using client = new MemcachedClient({
      servers: `127.0.0.1:${(await server.listen()).port}`,
      timeoutMs: 20_000,
    })
    await expect(call(client, KNOWN_TO_ALL)).resolves.not.toThrow()
  })
})

describe('a misplaced option', () => {
  it('is refused with its place', async () => {
    await using client = new MemcachedClient('127.0.0.1:1')
    const misplaced = {
      "set has no option 'ttl': `ttl` is `the argument before the options` here": client.set('k', 1, 5, {
        ttl: 5,
      } as object),
      "meta.get has no option 'ttl': `ttl` is `touchTtl` here": client.meta.get('k', { ttl: 5 } as object),
      "meta.set has no option 'cas': `cas` is `compareCas` here": client.meta.set('k', 1, { cas: 5n } as object),
      "setMulti has no option 'noreply'": client.setMulti([], 5, { noreply: true } as object),
    }
    for (const [message, call] of Object.entries(misplaced)) await expect(call).rejects.toThrow(message)
  })
})

describe('a flag of a meta command', () => {
  it.each(['value', 'access', 'noBump'])('%s is true or false, and nothing that looks like it', async (name) => {
    await using client = new MemcachedClient('127.0.0.1:1')
    for (const value of [0, 1, 'true', null, {}]) {
      await expect(client.meta.get('k', { [name]: value })).rejects.toThrow(`${name} must be true or false`)
    }
  })

  it.each(['invalidate', 'removeValue'])('%s of a delete, too', async (name) => {
    await using client = new MemcachedClient('127.0.0.1:1')
    await expect(client.meta.delete('k', { [name]: 1 } as object)).rejects.toThrow(`${name} must be true or false`)
  })
})

describe('options that cannot be read', () => {
  const refuse = (): never => {
    throw new Error('not today')
  }
  const proxy = new Proxy({}, { ownKeys: refuse })

  it.each(Object.entries(METHODS))('reject %s, and throw nothing', async (_, call) => {
    await using client = new MemcachedClient('127.0.0.1:1')
    await expect(call(client, proxy)).rejects.toBeInstanceOf(MemcacheOptionError)
  })
})
