import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions, ServerStream } from '../src/index.ts'

const LIMIT = 64 * 1024
const TOO_LARGE = { code: 'ERR_MEMCACHE_TOO_LARGE' }
/** An item's bytes besides its key and value: a header, the ends of both, the cas unique, and client flags that are not 0. */
const OVERHEAD_BYTES = 59
const FLAGS_BYTES = 4

/** Every way to store a value under a key that has one. */
const STORES: Record<string, (client: MemcachedClient, key: string, value: string | Buffer) => Promise<unknown>> = {
  set: (client, key, value) => client.set(key, value),
  setMulti: async (client, key, value) => {
    const { keyErrors } = await client.setMulti([
      [key, value],
      ['other', 1],
    ])
    if (keyErrors.size > 0) throw keyErrors.get(key)!
  },
  replace: (client, key, value) => client.replace(key, value),
  cas: async (client, key, value) => client.cas(key, value, (await client.gets(key))!.casUnique),
  append: (client, key, value) => client.append(key, value),
  prepend: (client, key, value) => client.prepend(key, value),
}

/** A lowered limit: what fits is stored, and what does not is refused while the stored value stays. */
async function checkLowered(servers: string, protocol: 'meta' | 'binary'): Promise<void> {
  await using client = new MemcachedClient({ servers, protocol, timeoutMs: 20_000 })
  for (const [name, store] of Object.entries(STORES)) {
    await client.set('k', '', 60)
    for (const bytes of [LIMIT + 1, LIMIT * 2, (1 << 20) - 1]) {
      await expect(store(client, 'k', 'x'.repeat(bytes))).rejects.toMatchObject(TOO_LARGE)
      expect([name, await client.get('k')]).toEqual([name, ''])
    }
  }
  const largest = LIMIT - OVERHEAD_BYTES - 'k'.length
  for (const [value, longer] of [
    [Buffer.alloc(largest, 1), Buffer.alloc(largest + 1)],
    ['x'.repeat(largest - FLAGS_BYTES), 'x'.repeat(largest - FLAGS_BYTES + 1)],
  ] as const) {
    await client.set('k', value)
    await expect(client.set('k', longer)).rejects.toMatchObject(TOO_LARGE)
    expect(await client.get('k')).toEqual(value)
  }
}

/** Without meta commands, servers do not report it: at most the first value over the limit is lost. */
async function checkRefusedOnce(servers: string): Promise<void> {
  await using client = new MemcachedClient({ servers, protocol: 'text', timeoutMs: 20_000 })
  await expect(client.set('first', 'x'.repeat(LIMIT * 2))).rejects.toMatchObject(TOO_LARGE)
  await client.set('k', 'stays')
  for (const bytes of [LIMIT * 2, LIMIT * 3]) {
    await expect(client.set('k', 'x'.repeat(bytes))).rejects.toMatchObject(TOO_LARGE)
    expect(await client.get('k')).toBe('stays')
  }
}

describe('a server whose item limit is below the default', () => {
  async function withOurs(check: (servers: string) => Promise<void>): Promise<void> {
    await using server = new MemcachedServer({ port: 0, itemMaxBytes: LIMIT })
    await check(`127.0.0.1:${(await server.listen()).port}`)
  }
  async function withMemcached(check: (servers: string) => Promise<void>): Promise<void> {
    await using server = await launchMemcached({ args: ['-I', '64k', '-o', `slab_chunk_max=${LIMIT / 2}`] })
    await check(server.address)
  }

  it.each(['meta', 'binary'] as const)('loses nothing to a value over it, by %s', (protocol) =>
    withOurs((servers) => checkLowered(servers, protocol)),
  )
  it('loses one value at most, by text', () => withOurs(checkRefusedOnce))

  describeWithMemcached('memcached', () => {
    it.each(['meta', 'binary'] as const)('loses nothing to a value over it, by %s', (protocol) =>
      withMemcached((servers) => checkLowered(servers, protocol)),
    )
    it('loses one value at most, by text', () => withMemcached(checkRefusedOnce))
  })
})

/** A server with meta commands that stores values up to a limit, and reports a given limit. */
class FakeServer implements ServerStream {
  readonly name = 'fake'
  limit = LIMIT
  settings: (end: Duplex) => void = (end) => void end.write(`STAT item_size_max ${this.limit}\r\nEND\r\n`)
  asked = 0
  sent = 0

  connect(): Duplex {
    const [ours, theirs] = duplexPair()
    let held = ''
    theirs.on('error', () => {})
    theirs.on('data', (bytes: Buffer) => {
      held += bytes.toString('latin1')
      for (;;) {
        const end = held.indexOf('\r\n')
        if (end < 0) return
        const [command, , length] = held.slice(0, end).split(' ')
        const size = command === 'ms' ? Number(length) : -2
        if (held.length < end + size + 4) return
        const line = held.slice(0, end)
        held = held.slice(end + size + 4)
        this.#answer(theirs, line, size)
      }
    })
    return ours
  }

  #answer(end: Duplex, line: string, size: number): void {
    if (line === 'version') end.write('VERSION 1.6.45\r\n')
    else if (line === 'mn') end.write('MN\r\n')
    else if (line === 'stats settings') {
      this.asked++
      this.settings(end)
    } else if (line.startsWith('ms ')) {
      this.sent++
      const opaque = / O\S+/.exec(line)![0]
      end.write(size > this.limit ? 'SERVER_ERROR object too large for cache\r\n' : `HD${opaque}\r\n`)
    }
  }
}

const yes = (): boolean => true
const no = (): boolean => false

function clientOf(server: FakeServer, options: MemcachedClientOptions = {}): MemcachedClient {
  return new MemcachedClient({ servers: [server], timeoutMs: 20_000, poolSize: 1, ...options })
}

describe('the item limit', () => {
  it('is requested once, before the first value that may be over any limit', async () => {
    const server = new FakeServer()
    await using client = clientOf(server)
    await client.set('small', 'x'.repeat(900))
    expect(server.asked).toBe(0)
    await Promise.all(Array.from({ length: 300 }, (_, index) => client.set(`k${index}`, 'x'.repeat(2000 + index))))
    await client.set('later', 'x'.repeat(30_000))
    expect(server.asked).toBe(1)
  })

  it('is never requested if it is given', async () => {
    const server = new FakeServer()
    await using given = clientOf(server, { itemMaxBytes: LIMIT })
    await expect(given.set('k', 'x'.repeat(LIMIT))).rejects.toMatchObject(TOO_LARGE)
    await using unlimited = clientOf(server, { itemMaxBytes: Infinity })
    await expect(unlimited.set('k', 'x'.repeat(LIMIT * 2))).rejects.toMatchObject(TOO_LARGE)
    expect([server.asked, server.sent]).toEqual([0, 1])
  })

  const UNTOLD: Record<string, FakeServer['settings']> = {
    'an error': (end) => void end.write('ERROR\r\n'),
    'settings without it': (end) => void end.write('END\r\n'),
    'settings that make no sense': (end) => void end.write('STAT item_size_max -5\r\nEND\r\n'),
    'the end of the connection': (end) => void end.end(),
    silence: () => {},
  }
  it.each(Object.entries(UNTOLD))(
    'may be answered by %s: values are stored, and nobody asks again',
    async (_, settings) => {
      const server = new FakeServer()
      server.settings = settings
      await using client = clientOf(server, { timeoutMs: 100 })
      // The first calls may be those that pay for it.
      while (!(await client.set('k', 'x'.repeat(3000)).then(yes, no))) await new Promise((done) => setImmediate(done))
      await client.set('k', 'x'.repeat(4000))
      expect(server.asked).toBe(1)
    },
  )

  it('is not waited for longer than the call takes, nor after its signal', async () => {
    const server = new FakeServer()
    server.settings = () => {}
    await using client = clientOf(server, { timeoutMs: 300 })
    const controller = new AbortController()
    const calls = [
      client.set('a', 'x'.repeat(3000), 60, { timeoutMs: 10 }),
      client.set('b', 'x'.repeat(3000), 60, { signal: controller.signal }),
      client.append('c', 'x'.repeat(3000), { timeoutMs: 10 }),
    ]
    const outcomes = Promise.allSettled(calls)
    controller.abort(new Error('enough'))
    expect(await outcomes).toMatchObject([
      { reason: { code: 'ERR_MEMCACHE_TIMEOUT' } },
      { reason: { message: 'enough' } },
      { reason: { code: 'ERR_MEMCACHE_TIMEOUT' } },
    ])
    expect(server.sent).toBe(0)
  })

  it('may be lowered while the client runs', async () => {
    const server = new FakeServer()
    await using client = clientOf(server)
    await client.set('k', 'x'.repeat(30_000))
    server.limit = 10_000
    await expect(client.set('k', 'x'.repeat(30_000))).rejects.toMatchObject(TOO_LARGE)
    const { sent } = server
    await expect(client.set('k', 'x'.repeat(30_000))).rejects.toMatchObject(TOO_LARGE)
    expect(server.sent).toBe(sent)
  })

  it('is the size that the server refuses, if that is less than it reports', async () => {
    const server = new FakeServer()
    server.settings = (end) => void end.write(`STAT item_size_max ${1 << 20}\r\nEND\r\n`)
    await using client = clientOf(server)
    await expect(client.set('k', 'x'.repeat(LIMIT + 1))).rejects.toMatchObject(TOO_LARGE)
    for (let time = 0; time < 3; time++)
      await expect(client.set('k', 'x'.repeat(LIMIT + 1))).rejects.toMatchObject(TOO_LARGE)
    expect(server.sent).toBe(1)
    await client.set('k', 'x'.repeat(LIMIT - 1024))
  })
})
