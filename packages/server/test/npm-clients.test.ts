import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/index.ts'

/** Clients that we did not write, as applications use them today. */
const require = createRequire(import.meta.url)

describe('clients from npm', () => {
  const server = new MemcachedServer({ port: 0 })
  let address: string
  beforeAll(async () => {
    const { port } = await server.listen()
    address = `127.0.0.1:${port}`
  })
  afterAll(() => server.close())

  it('memcached sets, gets, compares and swaps, counts, appends, deletes', async () => {
    const Memcached = require('memcached') as new (address: string) => Record<string, (...args: unknown[]) => void>
    const client = new Memcached(address)
    const call = (method: string, ...args: unknown[]): Promise<unknown> =>
      promisify<unknown>((callback: (error: unknown, value: unknown) => void) => client[method]!(...args, callback))()
    expect(await call('set', 'npm', { a: [1, 'ü'] }, 60)).toBe(true)
    expect(await call('get', 'npm')).toEqual({ a: [1, 'ü'] })
    expect(await call('get', 'missing')).toBeUndefined()
    const found = (await call('gets', 'npm')) as { npm: unknown; cas: string }
    expect(await call('cas', 'npm', 'swapped', found.cas, 60)).toBe(true)
    expect(await call('cas', 'npm', 'again', found.cas, 60)).toBe(false)
    expect(await call('append', 'npm', '!')).toBe(true)
    expect(await call('get', 'npm')).toBe('swapped!')
    expect(await call('set', 'n', 41, 60)).toBe(true)
    expect(await call('incr', 'n', 1)).toBe(42)
    expect(await call('touch', 'n', 60)).toBe(true)
    expect(await call('getMulti', ['n', 'npm'])).toEqual({ n: 42, npm: 'swapped!' })
    expect(await call('del', 'n')).toBe(true)
    const big = 'x'.repeat(500_000)
    expect(await call('set', 'big', big, 60)).toBe(true)
    expect(await call('get', 'big')).toBe(big)
    const [stats] = (await call('stats')) as [Record<string, unknown>]
    expect(stats['version']).toBe('1.6.45')
    client['end']!()
  })

  it('memcache-client sets, gets, compares and swaps, counts, deletes', async () => {
    interface MemcacheClient {
      set(key: string, value: unknown, options?: object): Promise<unknown>
      get(key: string | string[]): Promise<Record<string, unknown>>
      gets(key: string): Promise<{ value: unknown; casUniq: string }>
      cas(key: string, value: unknown, options: object): Promise<unknown>
      incr(key: string, by: number): Promise<unknown>
      delete(key: string): Promise<unknown>
      shutdown(): void
    }
    const { MemcacheClient: Client } = require('memcache-client') as {
      MemcacheClient: new (options: object) => MemcacheClient
    }
    const client = new Client({ server: address })
    await client.set('mc', { b: 2 }, { lifetime: 60 })
    expect((await client.get('mc'))['value']).toEqual({ b: 2 })
    const found = await client.gets('mc')
    await client.cas('mc', 'swapped', { casUniq: found.casUniq })
    expect((await client.get('mc'))['value']).toBe('swapped')
    await client.set('count', '5')
    expect(await client.incr('count', 3)).toBe('8')
    await client.delete('mc')
    expect(await client.get('mc')).toBeUndefined()
    client.shutdown()
  })
})
