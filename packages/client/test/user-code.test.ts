import { tracingChannel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { duplexPair, PassThrough, Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { MemcachedServer } from 'memcache-ts-server'
import { FaultProxy } from 'memcache-ts-testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheError } from '../src/index.ts'
import type { ValueCodec } from '../src/index.ts'

/** The errors that Node reported as uncaught. */
let uncaught: unknown[] = []
let listenersOfVitest: NodeJS.UncaughtExceptionListener[] = []
const bug = new Error('a bug of the application')

beforeEach(() => {
  uncaught = []
  listenersOfVitest = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => uncaught.push(error))
})
afterEach(() => {
  process.removeAllListeners('uncaughtException')
  for (const listener of listenersOfVitest) process.on('uncaughtException', listener)
})

const EVENTS = ['connect', 'disconnect', 'reconnecting', 'eject', 'rejoin'] as const

/** Ways that a connection can take, and which events they lead past. */
const WAYS: Record<string, { events: readonly (typeof EVENTS)[number][]; fault: Parameters<typeof setFault>[1] }> = {
  'closed while nothing is asked': { events: ['connect', 'disconnect'], fault: 'none' },
  refused: { events: ['disconnect', 'reconnecting', 'eject', 'rejoin'], fault: 'closeOnConnect' },
  'turned away': { events: ['disconnect', 'reconnecting', 'eject', 'rejoin'], fault: 'refuse' },
  silent: { events: ['disconnect', 'reconnecting', 'eject', 'rejoin'], fault: 'silent' },
  'talking nonsense': { events: ['disconnect', 'reconnecting', 'eject', 'rejoin'], fault: 'nonsense' },
}

function setFault(proxy: FaultProxy, kind: 'none' | 'closeOnConnect' | 'refuse' | 'silent' | 'nonsense'): void {
  proxy.fault = kind === 'nonsense' ? { kind: 'respond', bytes: 'HELLO\r\n' } : { kind }
}

describe.each(Object.entries(WAYS))('while a server is %s', (_, { events, fault }) => {
  it.each(events)("an exception of a listener of '%s' is reported to Node, and the client continues", async (event) => {
    await using server = new MemcachedServer({ port: 0 })
    await using proxy = await FaultProxy.start(await server.listen())
    await using client = new MemcachedClient({ servers: proxy.address, timeoutMs: 200, connectTimeoutMs: 200 })
    let later = 0
    client.on(event, () => {
      throw bug
    })
    client.on(event, () => later++)
    await expect
      .poll(() =>
        client
          .set('k', 'v')
          .then(() => true)
          .catch(() => false),
      )
      .toBe(true)
    const gone = once(client, 'disconnect')
    let isEjected = false
    client.once('eject', () => (isEjected = true))
    setFault(proxy, fault)
    proxy.cutAll()
    await gone
    // One connection that fails does not eject a server whose other one may still open.
    const isOut = (): boolean => isEjected || !events.includes('eject')
    await expect.poll(() => client.get('k').then(isOut, isOut)).toBe(true)
    setFault(proxy, 'none')
    proxy.cutAll()
    // A listener of rejoin has to have been called for the case to be one.
    await expect.poll(() => client.get('k').catch(() => undefined)).toBe('v')
    await expect.poll(() => later).toBeGreaterThan(0)
    await expect.poll(() => uncaught.length).toBe(later)
    expect(new Set(uncaught)).toEqual(new Set([bug]))
    expect(await client.get('k')).toBe('v')
  })
})

it("an exception of a listener of 'servers' is reported to Node, and discovery continues", async () => {
  await using server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  const nodes = `localhost|127.0.0.1|${port}`
  const [ours, theirs] = duplexPair()
  theirs.on('data', (chunk: Buffer) => {
    if (String(chunk).startsWith('version')) theirs.write('VERSION 1.6.12\r\n')
    else theirs.write(`CONFIG cluster 0 ${nodes.length + 3}\r\n1\n${nodes}\n\r\nEND\r\n`)
  })
  // Discovery takes no streams: the endpoint is a server of its own.
  const { createServer } = await import('node:net')
  const endpoint = createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(ours, { end: false })
    ours.pipe(socket, { end: false })
  }).listen(0, '127.0.0.1')
  await once(endpoint, 'listening')
  const address = endpoint.address() as { port: number }
  await using client = new MemcachedClient({ servers: `127.0.0.1:${address.port}`, discovery: true, timeoutMs: 5000 })
  client.on('servers', () => {
    throw bug
  })
  await client.set('k', 'v')
  expect(await client.get('k')).toBe('v')
  await expect.poll(() => uncaught).toEqual([bug])
  endpoint.close()
})

it('an exception of a tracing subscriber is reported to Node, and the call continues', async () => {
  await using server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  await using client = new MemcachedClient({ servers: `127.0.0.1:${port}`, timeoutMs: 20_000 })
  const channel = tracingChannel('memcache-ts-client:operation')
  const broken = (): void => {
    throw bug
  }
  const subscribers = { start: broken, end: broken, asyncStart: broken, asyncEnd: broken, error: broken }
  channel.subscribe(subscribers)
  try {
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
    await expect(client.incr('k')).rejects.toBeInstanceOf(MemcacheError)
    await expect(client.get('')).rejects.toBeInstanceOf(MemcacheError)
  } finally {
    channel.unsubscribe(subscribers)
  }
  await expect.poll(() => uncaught.length).toBeGreaterThan(0)
  expect(new Set(uncaught)).toEqual(new Set([bug]))
})

const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()

/** Streams of the caller's making that are broken in some way. */
const STREAMS: Record<string, () => unknown> = {
  throws: () => {
    throw bug
  },
  'throws what is no error': () => {
    // oxlint-disable-next-line no-throw-literal -- as users do
    throw undefined
  },
  'returns nothing': () => undefined,
  'returns a promise': () => Promise.resolve(new PassThrough()),
  'returns a stream that is destroyed': () => new PassThrough().destroy(),
  'returns a stream that fails at once': () => new PassThrough().destroy(bug),
  'returns a stream that only takes': () => new Writable({ write: (_chunk, _encoding, done) => done() }),
  'returns a stream whose write throws': () => {
    const stream = new PassThrough()
    stream.write = () => {
      throw bug
    }
    return stream
  },
  'returns a stream whose end throws': () => {
    const stream = new PassThrough()
    stream.end = () => {
      throw bug
    }
    return stream
  },
  'returns a promise that rejects': () => Promise.reject(bug),
  'returns a stream whose destroy throws': () => {
    // Otherwise Node destroys it, too.
    const stream = new PassThrough({ autoDestroy: false })
    stream.destroy = () => {
      throw bug
    }
    return stream
  },
  ...Object.fromEntries(
    [null, undefined, 'text', 5, {}, Object.create(null), Symbol('failed'), revoked].map((error, index) => [
      `returns a stream whose error is no error (${index})`,
      () => {
        const stream = new PassThrough()
        process.nextTick(() => stream.emit('error', error))
        return stream
      },
    ]),
  ),
  'returns a stream of text': () => new PassThrough({ encoding: 'utf8' }),
  'returns a stream of objects': () => {
    const [ours, theirs] = duplexPair({ objectMode: true })
    theirs.on('data', () => theirs.write({ an: 'object' }))
    return ours
  },
  'returns a stream of numbers': () => {
    const [ours, theirs] = duplexPair({ objectMode: true })
    theirs.on('data', () => theirs.write(5))
    return ours
  },
}

describe.each(Object.entries(STREAMS))('a stream whose connect() %s', (_, broken) => {
  it('rejects its requests, and is replaced by a server that works', async () => {
    await using server = new MemcachedServer()
    let isBroken = true
    const connect = (): Duplex => {
      if (isBroken) return broken() as Duplex
      const [ours, theirs] = duplexPair()
      server.handle(theirs)
      return ours
    }
    await using client = new MemcachedClient({
      servers: [{ name: 'mine', connect }],
      timeoutMs: 200,
      connectTimeoutMs: 100,
    })
    for (const call of [client.get('k'), client.set('k', 1), client.getMulti(['k'])]) {
      await expect(call).rejects.toBeInstanceOf(MemcacheError)
    }
    isBroken = false
    await expect.poll(() => client.set('k', 'v').catch((error: unknown) => error)).toBeUndefined()
    expect(await client.get('k')).toBe('v')
    expect(uncaught).toEqual([])
  })
})

it.each<[string, () => unknown]>([
  ['a promise', () => Promise.resolve(new PassThrough())],
  ['nothing', () => undefined],
  ['a text', () => 'localhost:11211'],
])('connect() that returns %s is told that it must return a stream', async (_, connect) => {
  await using client = new MemcachedClient({ servers: [{ name: 'mine', connect: connect as () => Duplex }] })
  await expect(client.get('k')).rejects.toThrow('mine cannot be reached: connect() must return a stream, got ')
})

/** A codec that works. */
const JSON_CODEC: ValueCodec = {
  encode: (value) => ({ bytes: Buffer.from(JSON.stringify(value)), clientFlags: 9 }),
  decode: (bytes) => JSON.parse(bytes.toString()) as unknown,
}

/** Throws what a codec throws that was not written with care. */
function throwing(thrown: unknown): () => never {
  return () => {
    throw thrown
  }
}

/** A Buffer that says of itself that it has more bytes than there are. */
function boastful(): Buffer {
  return Object.defineProperty(Buffer.from('1'), 'length', { value: 1000 })
}

/** A Buffer whose memory was transferred to another thread. */
function transferred(): Buffer {
  const memory = new ArrayBuffer(8)
  const bytes = Buffer.from(memory)
  structuredClone(memory, { transfer: [memory] })
  return bytes
}

const ENCODERS: Record<string, [encode: () => unknown, told: string]> = {
  'returns a promise': [() => Promise.resolve({ bytes: 'x', clientFlags: 0 }), 'not a promise of it'],
  'returns a promise that rejects': [() => Promise.reject(bug), 'not a promise of it'],
  'throws what is no error': [throwing(undefined), 'the codec cannot encode the value: undefined'],
  'throws what cannot be read': [throwing(Proxy.revocable({}, {}).proxy), 'the codec cannot encode the value: '],
  'returns what throws when it is read': [
    () => ({
      get bytes() {
        throw bug
      },
    }),
    'the codec cannot encode the value: a bug of the application',
  ],
  'returns nothing': [() => undefined, 'bytes is undefined, not a Buffer or text'],
  'returns bytes that are no Buffer': [() => ({ bytes: new Uint8Array(3), clientFlags: 0 }), 'not a Buffer or text'],
  'returns fewer bytes than it says': [() => ({ bytes: boastful(), clientFlags: 0 }), 'whose memory is gone'],
  'returns memory that has gone': [() => ({ bytes: transferred(), clientFlags: 0 }), 'whose memory is gone'],
  'returns half a character': [() => ({ bytes: 'a\uD800', clientFlags: 0 }), 'not well-formed Unicode'],
  'returns client flags as text': [() => ({ bytes: 'x', clientFlags: '1' }), 'clientFlags must be a whole number'],
  'returns the client flags of chunks': [() => ({ bytes: 'x', clientFlags: 0x4d43_0005 }), 'must not be 1296236549'],
}

it.each(Object.entries(ENCODERS))(
  'a codec whose encode %s costs one call, and nothing that is stored',
  async (_, [encode, told]) => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    await using good = new MemcachedClient({ servers: `127.0.0.1:${port}`, values: JSON_CODEC, timeoutMs: 20_000 })
    const values = { ...JSON_CODEC, encode: encode as ValueCodec['encode'] }
    await using bad = new MemcachedClient({ servers: `127.0.0.1:${port}`, values, chunkBytes: 100, timeoutMs: 20_000 })
    await good.set('k', 'before')
    const calls = [
      () => bad.set('k', 1),
      () => bad.set('k', 1, 60, { noreply: true }),
      () => bad.replace('k', 1),
      () => bad.cas('k', 1, 1n),
      () => bad.setMulti([['k', 1]]),
      () => bad.meta.set('k', 1),
    ]
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: 'ERR_MEMCACHE_OPTION',
        message: expect.stringContaining(told),
      })
    }
    expect(await good.get('k')).toBe('before')
    expect(uncaught).toEqual([])
  },
)

const DECODERS: Record<string, () => unknown> = {
  'returns a promise': () => Promise.resolve(1),
  'returns a promise that rejects': () => Promise.reject(bug),
  // oxlint-disable-next-line unicorn/no-thenable -- as a codec may
  'returns what never ends': () => ({ then() {} }),
  'throws what is no error': throwing(null),
  'throws what cannot be read': throwing(Proxy.revocable({}, {}).proxy),
}

describe.each(Object.entries(DECODERS))('a codec whose decode %s', (_, decode) => {
  it.each(['meta', 'text', 'binary'] as const)('costs one value, at once (%s)', async (protocol) => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const isBad = (bytes: Buffer): boolean => bytes.includes('bad')
    const values: ValueCodec = {
      ...JSON_CODEC,
      decode: (bytes) => (isBad(bytes) ? decode() : JSON_CODEC.decode(bytes, 9)),
    }
    const options = { servers: `127.0.0.1:${port}`, values, protocol, chunkBytes: 50 }
    await using client = new MemcachedClient(options)
    for (const bad of ['bad', 'bad'.repeat(100)]) {
      await client.set('k', bad)
      await client.set('other', 2)
      const unreadable = { code: 'ERR_MEMCACHE_DECODE', key: 'k' }
      for (const call of [client.get('k'), client.gets('k'), client.gat('k', 60)]) {
        await expect(call).rejects.toMatchObject(unreadable)
      }
      const many = await client.getMulti(['k', 'other'])
      expect([...many]).toEqual([['other', 2]])
      expect(many.errors.get('k')).toMatchObject(unreadable)
      expect(await client.get('k', { unreadable: 'miss' })).toBeUndefined()
    }
    expect(uncaught).toEqual([])
  })
})

it.each<[string, () => object, string]>([
  [
    'a getter that throws',
    () => ({
      get timeoutMs() {
        throw bug
      },
    }),
    'the option timeoutMs of ',
  ],
  [
    'a getter of noreply that throws',
    () => ({
      get noreply() {
        throw bug
      },
    }),
    'noreply',
  ],
  ['a proxy that throws', () => new Proxy({ timeoutMs: 5 }, { get: throwing(bug) }), 'timeoutMs of '],
  [
    'a proxy that was revoked',
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    },
    'the options of ',
  ],
  [
    'a signal that throws',
    () => ({
      signal: {
        addEventListener: throwing(bug),
        get aborted() {
          throw bug
        },
      },
    }),
    'signal must be an AbortSignal',
  ],
  [
    'a signal that cannot be listened to',
    () => ({ signal: { addEventListener: throwing(bug), aborted: false } }),
    'the signal of a call has failed',
  ],
])('call options with %s reject the call and name the option', async (_, options, told) => {
  await using server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  await using client = new MemcachedClient({ servers: `127.0.0.1:${port}`, chunkBytes: 100, timeoutMs: 20_000 })
  const calls = [
    () => client.get('k', options()),
    () => client.gats('k', 60, options()),
    () => client.set('k', 'x', 60, options()),
    () => client.append('k', 'x', options()),
    () => client.touch('k', 60, options()),
    () => client.delete('k', options()),
    () => client.incr('n', 1, options()),
    () => client.meta.get('k', options()),
    () => client.version(options()),
  ]
  for (const call of calls) {
    await expect(call()).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION', message: expect.stringContaining(told) })
  }
  expect(uncaught).toEqual([])
})

it('a signal that throws when its listener is removed delays no call', async () => {
  await using server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  await using client = new MemcachedClient({ servers: `127.0.0.1:${port}`, timeoutMs: 20_000 })
  const signal = { aborted: false, addEventListener() {}, removeEventListener: throwing(bug) }
  expect(await client.get('k', { signal: signal as unknown as AbortSignal })).toBeUndefined()
  await expect.poll(() => uncaught).toEqual([bug])
})
