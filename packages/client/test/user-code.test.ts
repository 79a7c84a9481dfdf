import { tracingChannel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { duplexPair, PassThrough, Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { MemcachedServer } from 'memcache-ts-server'
import { FaultProxy } from 'memcache-ts-testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheError } from '../src/index.ts'

/** What Node reported as uncaught. */
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
  proxy.fault = kind === 'nonsense' ? { kind: 'answer', bytes: 'HELLO\r\n' } : { kind }
}

describe.each(Object.entries(WAYS))('while a server is %s', (_, { events, fault }) => {
  it.each(events)("an exception of a listener of '%s' is told to Node, and the client goes on", async (event) => {
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

it("an exception of a listener of 'servers' is told to Node, and discovery goes on", async () => {
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

it('an exception of a tracing subscriber is told to Node, and the call goes on', async () => {
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
  it('rejects what is asked, and is left for one that works', async () => {
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
