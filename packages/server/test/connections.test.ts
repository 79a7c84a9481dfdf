import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { FakeClock, freePort, readUntil, until } from 'memcache-ts-testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MemcachedServer, MemcacheConnectionError, MemcacheOptionError } from '../src/index.ts'
import { Listener } from '../src/listener.ts'
import { Exchange, settle } from './exchange.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('several connections', () => {
  it('have their turns, although one of them makes many requests at once', async () => {
    await using server = new MemcachedServer()
    const [greedy, other] = [new Exchange(server), new Exchange(server)]
    await greedy.send('set a 0 0 1\r\n1\r\n')
    const gets = 2000
    const all = greedy.send('get a\r\n'.repeat(gets))
    expect(await other.send('mn\r\n')).toBe('MN\r\n')
    expect(server.stats()['cmd_get']).toBeLessThan(gets)
    expect(server.stats()['conn_yields']).toBeGreaterThan(10)
    let replies = await all
    while (replies.length < gets * 'VALUE a 0 1\r\n1\r\nEND\r\n'.length) replies += await greedy.send('')
    expect(replies).toBe('VALUE a 0 1\r\n1\r\nEND\r\n'.repeat(gets))
  })

  it('yield after -R requests, and not if no requests are left', async () => {
    await using server = new MemcachedServer({ maxRequestsPerEvent: 1 })
    const exchange = new Exchange(server)
    expect(await exchange.send('set foobar 0 0 5\r\nBubba\r\n'.repeat(6))).toBe('STORED\r\n'.repeat(6))
    expect(server.stats()['conn_yields']).toBe(5)
    await using patient = new MemcachedServer({ maxRequestsPerEvent: 20 })
    await new Exchange(patient).send('mn\r\n'.repeat(20))
    expect(patient.stats()['conn_yields']).toBe(0)
  })

  it('are closed when they send nothing for idleTimeoutSeconds', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] })
    const clock = new FakeClock()
    await using server = new MemcachedServer({ idleTimeoutSeconds: 3, clock })
    const [idle, busy] = [new Exchange(server), new Exchange(server)]
    for (let second = 0; second < 5; second++) {
      clock.advanceSeconds(1)
      vi.advanceTimersByTime(1000)
      expect(await busy.send('mn\r\n')).toBe('MN\r\n')
    }
    expect(await idle.send('')).toBe('')
    expect(server.stats()).toMatchObject({ idle_kicks: 1, curr_connections: 1 })
  })

  it('free everything when they end in the middle', async () => {
    await using server = new MemcachedServer({ memoryLimitMb: 8 })
    for (let round = 0; round < 200; round++) {
      const exchange = new Exchange(server)
      await exchange.send(`ms half${round} ${round * 40}\r\nonly this`)
      exchange.end()
      const line = new Exchange(server)
      await line.send(`get ${'k'.repeat(round * 9)}`)
      line.end()
    }
    await settle()
    const exchange = new Exchange(server)
    expect(await exchange.send('stats slabs\r\n')).not.toMatch(/used_chunks [1-9]/)
    expect(server.stats()).toMatchObject({ curr_connections: 1, curr_items: 0 })
  })
})

describe('lines without an end', () => {
  it('fill no memory, with any number of connections', async () => {
    await using server = new MemcachedServer()
    const line = Buffer.from(`get ${'k '.repeat(500_000)}`)
    const exchanges = Array.from({ length: 100 }, () => new Exchange(server))
    for (const exchange of exchanges) await exchange.send(line)
    const open = exchanges.filter(({ closed }) => !closed)
    expect(open.length).toBeGreaterThan(50)
    expect(open.length).toBeLessThanOrEqual(67)
    // What was held is free again.
    for (const exchange of open) exchange.end()
    await settle()
    const other = new Exchange(server)
    await other.send(line)
    expect(other.closed).toBe(false)
    let reply = await other.send('\r\nmn\r\n')
    while (!reply.endsWith('MN\r\n')) reply += await other.send('')
    expect(reply).toBe('END\r\nMN\r\n')
  })
})

/** Commands of every kind, with values that look like commands. */
const CONVERSATION = [
  'set a 5 0 12\r\nget b\r\nget c\r\n',
  'get a b\r\ngets a\r\n',
  'ms k 4 T100 F3 c k Oabc\r\nab\r\n\r\n',
  'mg k v f t k s Oxyz\r\n',
  'mg nope v q\r\nmn\r\n',
  'add a 0 0 1\r\nx\r\n',
  'append a 0 0 2\r\n!!\r\n',
  'set n 0 0 2\r\n41\r\n',
  'incr n 1\r\nma n D5 v\r\n',
  'set bad 0 0 3\r\nabcdef\r\n',
  `set ${'k'.repeat(251)} 0 0 3\r\nabc\r\n`,
  `set big 0 0 2000000\r\n${'x'.repeat(2_000_000)}\r\n`,
  'get a n k\r\n',
  'nonsense\r\n\r\nstats nope\r\n',
  'delete a\r\ndelete a\r\nmd k q\r\n',
  `set value 0 0 70000\r\n${'y'.repeat(70_000)}\r\n`,
  'mg value s\r\nversion\r\n',
].join('')

describe('a conversation', () => {
  it('is the same in pieces of any length', async () => {
    await using whole = new MemcachedServer()
    let expected = ''
    const one = new Exchange(whole)
    expected += await one.send(CONVERSATION)
    for (let turn = 0; turn < 5; turn++) expected += await one.send('')
    expect(expected).toMatch(/VERSION 1\.6\.45\r\n$/)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(CONVERSATION.length), { maxLength: 40 }), async (cuts) => {
        await using server = new MemcachedServer()
        const exchange = new Exchange(server)
        let received = await exchange.sendInPieces(CONVERSATION, cuts)
        for (let turn = 0; received.length < expected.length && turn < 5; turn++) received += await exchange.send('')
        expect(received).toBe(expected)
      }),
      { numRuns: 40 },
    )
  })
})

describe('a dump of the items', () => {
  async function filled(items: number): Promise<{ server: MemcachedServer; exchange: Exchange }> {
    const server = new MemcachedServer({ port: 0 })
    const exchange = new Exchange(server)
    let sets = ''
    for (let index = 0; index < items; index++) sets += `set key${index} 3 0 1 noreply\r\nx\r\n`
    await readTo(exchange, `${sets}mn\r\n`, 'MN\r\n')
    expect(server.stats()['curr_items']).toBe(items)
    return { server, exchange }
  }

  async function readTo(exchange: Exchange, request: string, end: string): Promise<string> {
    let received = await exchange.send(request)
    while (!received.endsWith(end)) received += await exchange.send('')
    return received
  }

  it.each(['all', 'hash', '1'])('lists every item once: %s', async (selection) => {
    const { server, exchange } = await filled(3000)
    const metadata = await readTo(exchange, `lru_crawler metadump ${selection}\r\n`, 'END\r\n')
    const lines = metadata.split('\n').slice(0, -2)
    expect(lines.shift()).toBe('OK\r')
    // An item that moves from one LRU list to another meanwhile may be met in both.
    if (selection === 'hash') expect(lines).toHaveLength(3000)
    expect(new Set(lines.map((line) => line.split(' ')[0])).size).toBe(3000)
    expect(lines[0]).toMatch(/^key=key\d+ exp=-1 la=\d+ cas=\d+ fetch=no cls=1 size=\d+ flags=3 $/)
    const keys = await readTo(exchange, `lru_crawler mgdump ${selection}\r\n`, 'EN\r\n')
    expect(new Set(keys.split('\r\n')).size).toBe(3000 + 3)
    await server.close()
  })

  it('lets commands wait that come meanwhile, and serves the others', async () => {
    const { server, exchange } = await filled(20_000)
    const other = new Exchange(server)
    const begun = exchange.send('lru_crawler metadump all\r\nversion\r\n')
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(await other.send('lru_crawler metadump all\r\n')).toBe('BUSY currently processing crawler request\r\n')
    expect(await other.send('mn\r\n')).toBe('MN\r\n')
    let dump = await begun
    while (!dump.endsWith('VERSION 1.6.45\r\n')) dump += await exchange.send('')
    expect(dump.endsWith('END\r\nVERSION 1.6.45\r\n')).toBe(true)
    expect(new Set(dump.match(/^key=\S+/gm)).size).toBe(20_000)
    expect(server.stats()['lru_crawler_running']).toBe(0)
    await server.close()
  })

  it('ends with its connection', async () => {
    const { server } = await filled(60_000)
    const { port } = await server.listen()
    const socket = connect(port, '127.0.0.1')
    socket.write('lru_crawler metadump hash\r\n')
    await readUntil(socket, /^/)
    expect(server.stats()['lru_crawler_running']).toBe(1)
    socket.destroy()
    await until(() => server.stats()['curr_connections'] === 1)
    expect(server.stats()['lru_crawler_running']).toBe(0)
    expect(await new Exchange(server).send('lru_crawler crawl 1\r\n')).toBe('OK\r\n')
    await server.close()
  })
})

describe('the address that it listens on', () => {
  it('takes several addresses, and a unix socket', async () => {
    const second = await freePort()
    await using server = new MemcachedServer({ port: 0, host: ['127.0.0.1', `127.0.0.1:${second}`] })
    const { port } = await server.listen()
    expect(server.portLines).toBe(`TCP INET: ${port}\nTCP INET: ${second}\n`)
    const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-'))
    const path = join(folder, 'socket')
    await using unix = new MemcachedServer({ unixSocket: path })
    expect(await unix.listen()).toEqual({ host: path, port: 0 })
    for (const where of [{ port }, { port: second }, { path }]) {
      const socket = connect('port' in where ? { ...where, host: '127.0.0.1' } : where)
      socket.write('mn\r\n')
      expect(await readUntil(socket, '\r\n')).toBe('MN\r\n')
      socket.destroy()
    }
    await using taken = new MemcachedServer({ port: 0, host: ['127.0.0.1', `127.0.0.1:${second}`] })
    await expect(taken.listen()).rejects.toThrow(MemcacheConnectionError)
    await using misspelt = new MemcachedServer({ host: 'a:b:c:g' })
    await expect(misspelt.listen()).rejects.toThrow(MemcacheOptionError)
    await unix.close()
    rmSync(folder, { recursive: true })
  })

  it('continues when a connection cannot be accepted, and logs the reason', async () => {
    const lines: string[] = []
    const options = {
      backlog: 1,
      verification: undefined,
      accept: () => {},
      failed: (line: string) => lines.push(line),
    }
    const { server, port } = await Listener.open(3, { host: '127.0.0.1', port: 0 }, options)
    server.emit('error', new Error('accept EMFILE'))
    expect(lines).toEqual(['cannot accept a connection on 127.0.0.1:0: accept EMFILE'])
    const socket = connect(port!, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
    server.close()
  })

  it('listens once', async () => {
    await using server = new MemcachedServer({ port: 0 })
    await server.listen()
    await expect(server.listen()).rejects.toThrow('this server is already listening')
  })

  it('logs connections and commands when it is to', async () => {
    await using server = new MemcachedServer({ verbosity: 2 })
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const exchange = new Exchange(server)
    await exchange.send('get a\r\nverbosity 0\r\nget b\r\nverbosity 2\r\nget c\r\n')
    exchange.end()
    await settle()
    expect(lines).toEqual([
      '<3 new client connection from stream',
      '<3 get a',
      '<3 verbosity 0',
      '<3 get c',
      '<3 connection closed.',
    ])
  })

  it('logs no control characters of a client', async () => {
    await using server = new MemcachedServer({ verbosity: 2 })
    const lines: string[] = []
    const exchange = new Exchange(server)
    server.on('log', (line) => lines.push(line))
    await exchange.send('get a\x1b[2J\x9b\r\r\n')
    expect(lines).toEqual([String.raw`<3 get a\x1b[2J\x9b\x0d`])
  })

  it('emits shutdown, if it is enabled', async () => {
    await using server = new MemcachedServer({ enableShutdown: true })
    const asked: boolean[] = []
    server.on('shutdown', (graceful) => asked.push(graceful))
    const exchange = new Exchange(server)
    expect(await exchange.send('shutdown graceful\r\n')).toBe('')
    expect(exchange.closed).toBe(true)
    expect(asked).toEqual([true])
  })

  it('moves its clock and keeps items for tests, if enabled', async () => {
    await using closed = new MemcachedServer()
    expect(await new Exchange(closed).send('debugtime 5\r\n')).toBe('ERROR\r\n')
    await using server = new MemcachedServer({ debugCommands: true })
    const exchange = new Exchange(server)
    expect(await exchange.send('set a 0 10 1\r\n1\r\ndebugtime 9\r\nget a\r\n')).toContain('VALUE a')
    expect(await exchange.send('debugtime 1\r\nget a\r\ndebugtime x\r\n')).toBe('OK\r\nEND\r\nERROR\r\n')
    expect(await exchange.send('set a 0 0 1\r\n1\r\ndebugitem ref a\r\ndebugitem unref a\r\ndebugitem ref b\r\n')).toBe(
      'STORED\r\nOK\r\nOK\r\nMISS\r\n',
    )
  })
})
