import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { FakeClock, readUntil, until } from 'memcache-ts-testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { Exchange, settle, untilHeldBack } from './exchange.ts'

const LONG_KEY = 'k'.repeat(251)
const TOO_LONG = 'CLIENT_ERROR bad command line format\r\n\r\n'

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** Sends a request and collects what comes until it ends so. */
async function readTo(exchange: Exchange, request: string, end: string): Promise<string> {
  let received = await exchange.send(request)
  while (!received.endsWith(end)) received += await exchange.send('')
  return received
}

describe('a line with more keys than are carried out in one turn', () => {
  it.each(['get', 'gets', 'gat 100', 'gats 100'])('gets complete responses in order: %s', async (command) => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    const value = 'x'.repeat(3000)
    await exchange.send(`set k 7 0 3000\r\n${value}\r\nms small 1 E5\r\ns\r\n`)
    const cas = command.startsWith('get') ? /k 7 3000 ?(\d+)?/.exec(await exchange.send('gets k\r\n'))![1] : '1'
    const withCas = /^ga?e?ts/.test(command)
    const big = `VALUE k 7 3000${withCas ? ` ${cas}` : ''}\r\n${value}\r\n`
    const small = `VALUE small 0 1${withCas ? ' 5' : ''}\r\ns\r\n`
    const reply = await readTo(exchange, `${command}${' k nothing small'.repeat(1000)}\r\nmn\r\n`, 'MN\r\n')
    expect(reply).toBe(`${(big + small).repeat(1000)}END\r\nMN\r\n`)
  })

  it('lets the others have their turns, hits or misses', async () => {
    await using server = new MemcachedServer()
    const [greedy, other] = [new Exchange(server), new Exchange(server)]
    const begun = greedy.send(`get${' nothing'.repeat(20_000)}\r\n`)
    expect(await other.send('mn\r\n')).toBe('MN\r\n')
    expect(server.stats()['cmd_get']).toBeLessThan(20_000)
    let reply = await begun
    while (reply === '') reply = await greedy.send('')
    expect(reply).toBe('END\r\n')
    expect(server.stats()['get_misses']).toBe(20_000)
  })

  it('makes no more replies than the client reads', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const [greedy, other] = [await open(port), await open(port)]
    other.write(`set k 0 0 16000\r\n${'x'.repeat(16_000)}\r\n`)
    await readUntil(other, 'STORED\r\n')
    greedy.pause()
    greedy.write(`get${' k'.repeat(50_000)}\r\n`)
    await untilHeldBack(server)
    expect(server.stats()['cmd_get']).toBeLessThan(3000)
    expect(server.stats()['bytes_written']).toBeLessThan(50_000_000)
    greedy.destroy()
    other.destroy()
  })

  it('responds to a key that is too long with only the error, at any position', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    await exchange.send(`set k 0 0 16000\r\n${'x'.repeat(16_000)}\r\n`)
    for (const before of [1, 100, 10_000]) {
      expect(await exchange.send(`get${' k'.repeat(before)} ${LONG_KEY} k\r\n`)).toBe(TOO_LONG)
    }
    expect(server.stats()['cmd_get']).toBeLessThan(1000)
  })

  it('ends with its connection', async () => {
    await using server = new MemcachedServer({ memoryLimitMb: 8 })
    await new Exchange(server).send(`set k 0 0 100000\r\n${'x'.repeat(100_000)}\r\n`)
    const broken = new Exchange(server)
    const begun = broken.send(`get${' k'.repeat(10_000)}\r\n`)
    broken.breakOff()
    await begun
    await settle()
    expect(server.stats()['curr_connections']).toBe(1)
    expect(await new Exchange(server).send('delete k\r\nmn\r\n')).toMatch(/MN\r\n$/)
  })
})

describe('stats detail dump', () => {
  it('is created in pieces, with any number of prefixes', async () => {
    await using server = new MemcachedServer({ prefixDelimiter: ':' })
    const exchange = new Exchange(server)
    let gets = ''
    for (let index = 0; index < 20_000; index++) gets += `get prefix${index}:a\r\n`
    await readTo(exchange, `${gets}mn\r\n`, 'MN\r\n')
    const dump = await readTo(exchange, 'stats detail dump\r\nmn\r\n', 'MN\r\n')
    expect(dump.match(/^PREFIX prefix\d+ get 1 hit 0 set 0 del 0\r$/gm)).toHaveLength(20_000)
    expect(dump.endsWith('del 0\r\nEND\r\nMN\r\n')).toBe(true)
  })

  it('is not broken by the bytes of base64 keys', async () => {
    await using server = new MemcachedServer({ prefixDelimiter: ':' })
    const exchange = new Exchange(server)
    for (const key of ['x\r\nEND\r\n:a', 'y\nEND:a', 'a b:c', '\0\x7f:a', 'plain%20:a', ' :a']) {
      await exchange.send(`ms ${Buffer.from(key, 'latin1').toString('base64')} 1 b\r\nx\r\n`)
    }
    const prefixes = ['x%0D%0AEND%0D%0A', 'y%0AEND', 'a%20b', '%00%7F', 'plain%20', '%20']
    expect(await exchange.send('stats detail dump\r\n')).toBe(
      `${prefixes.map((prefix) => `PREFIX ${prefix} get 0 hit 0 set 1 del 0\r\n`).join('')}END\r\n`,
    )
  })
})

describe('a client that goes', () => {
  it('is noticed, even with many pending requests', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const socket = await open(port)
    socket.on('error', () => {})
    socket.write('stats cachedump 1 0\r\n'.repeat(3000))
    await readUntil(socket, /^/)
    socket.destroy()
    const before = Number(server.stats()['conn_yields'])
    await until(() => server.stats()['curr_connections'] === 0)
    expect(Number(server.stats()['conn_yields']) - before).toBeLessThan(2000)
  })
})

describe('a fault', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('of ours ends the one connection, with a line in the log', async () => {
    // The background looks at the clock, too.
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const clock = new FakeClock()
    let isBroken = false
    const lines: string[] = []
    const nowMs = (): number => {
      if (isBroken) throw new Error('the clock is broken')
      return clock.nowMs()
    }
    await using server = new MemcachedServer({ port: 0, clock: { nowMs } })
    server.on('log', (line) => lines.push(line))
    const { port } = await server.listen()
    const [one, other] = [await open(port), new Exchange(server)]
    expect(await other.send('set a 0 0 1\r\n1\r\n')).toBe('STORED\r\n')
    isBroken = true
    one.write('get a\r\n')
    await once(one, 'close')
    isBroken = false
    expect(lines.join('')).toMatch(
      /^a request from tcp:127.0.0.1:\d+ failed, its connection is closed: Error: the clock is broken\n/,
    )
    expect(await other.send('get a\r\n')).toBe('VALUE a 0 1\r\n1\r\nEND\r\n')
  })

  it('of a listener is reported as uncaught, and disturbs no request', async () => {
    const uncaught: unknown[] = []
    const report = (error: unknown): void => void uncaught.push(error)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', report)
    try {
      await using server = new MemcachedServer({ verbosity: 2 })
      for (const event of ['log', 'connect', 'disconnect'] as const) {
        server.on(event, () => {
          throw new Error(`in ${event}`)
        })
      }
      const exchange = new Exchange(server)
      expect(await exchange.send('set a 0 0 1\r\n1\r\nget a\r\n')).toBe('STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n')
      exchange.end()
      await settle()
      expect(server.stats()['curr_connections']).toBe(0)
      expect(new Set(uncaught.map(String))).toEqual(
        new Set(['Error: in log', 'Error: in connect', 'Error: in disconnect']),
      )
    } finally {
      process.off('uncaughtException', report)
      for (const listener of others) process.on('uncaughtException', listener)
    }
  })
})

describe('cache_memlimit', () => {
  it('is limited by the range of references', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    const limits = ['16320', '16321', '999999999', '1000000001']
    expect(await exchange.send(limits.map((limit) => `cache_memlimit ${limit}\r\n`).join(''))).toBe(
      'OK\r\n' +
        'MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n'.repeat(2) +
        'MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n',
    )
  })
})
