import { MemcachedServer } from 'memcache-ts-server'
import { listenAsOldServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheUnsupportedError } from '../src/index.ts'
import { describeClient } from './client-contract.ts'
import type { OpenedServer } from './client-contract.ts'

async function oldServer(version?: string): Promise<OpenedServer & { readonly metaCommands: readonly string[] }> {
  const server = new MemcachedServer()
  const { address, metaCommands, close } = await listenAsOldServer(server, version)
  const stop = async (): Promise<void> => {
    close()
    await server.close()
  }
  return { options: { servers: address }, stop, metaCommands }
}

describe('on a memcached without meta commands', () => {
  describeClient(oldServer)

  it.each(['1.4.39', '1.5.22', '1.6.9', 'mcrouter 1.0', '2'.repeat(30)])(
    'says by a typed error what version %s cannot do, and sends nothing of it',
    async (version) => {
      const { options, stop, metaCommands } = await oldServer(version)
      await using client = new MemcachedClient({ ...options, timeoutMs: 5000 })
      const unsupported = [
        client.meta.get('k', { vivifySeconds: 5 }),
        client.meta.get('k'),
        client.meta.set('k', 'v', { invalidate: true, compareCas: 1n }),
        client.meta.delete('k', { invalidate: true }),
        client.meta.delete('k', { compareCas: 1n }),
        client.meta.arithmetic('k'),
        client.meta.debug('k'),
        client.meta.noop(),
        client.get(Uint8Array.of(1, 2)),
      ]
      for (const outcome of await Promise.allSettled(unsupported)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_MEMCACHE_UNSUPPORTED' } })
        expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(MemcacheUnsupportedError)
        expect(String((outcome as PromiseRejectedResult).reason)).toContain('memcached 1.6')
      }
      // What has the same meaning without a flag works.
      expect((await client.meta.set('k', 'v')).status).toBe('stored')
      expect(await client.meta.delete('k')).toBe('deleted')
      expect(await client.incr('n', 1, { initial: 5 })).toBe(5)
      expect(await client.incr('n', 2n, { initial: 5 })).toBe(7n)
      expect(metaCommands).toEqual([])
      await client.close()
      await stop()
    },
  )

  it.each(['1.6.13', '1.6.45', '2.0.0'])(
    'goes by what the server answers to mn, not by its version %s',
    async (version) => {
      const { options, stop, metaCommands } = await oldServer(version)
      await using client = new MemcachedClient({ timeoutMs: 20_000, ...options })
      expect(await client.delete('k')).toBe(false)
      expect(metaCommands).toEqual([])
      await client.close()
      await stop()
    },
  )

  it('two that make a counter at once count both', async () => {
    const { options, stop } = await oldServer()
    const clients = Array.from({ length: 10 }, () => new MemcachedClient({ ...options, timeoutMs: 5000 }))
    const counts = await Promise.all(clients.map((client) => client.incr('n', 1, { initial: 1 })))
    expect(counts.toSorted((a, b) => a! - b!)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    await Promise.all(clients.map((client) => client.close()))
    await stop()
  })
})
