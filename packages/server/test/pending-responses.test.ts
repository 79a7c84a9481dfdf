import { describe, expect, it } from 'vitest'
import { readCommandLine } from '../src/cli/arguments.ts'
import { MemcachedServer } from '../src/index.ts'
import { pendingResponses, readBufferLimit } from '../src/tuning.ts'
import { packet } from './binary-packets.ts'
import { Exchange } from './exchange.ts'

const LIMIT = 13
const REFUSED = 'SERVER_ERROR out of memory writing get response\r\n'

function limitedServer(): MemcachedServer {
  return new MemcachedServer({ maxPendingResponses: LIMIT, maxRequestsPerEvent: 500 })
}

describe('a get of more keys than maxPendingResponses', () => {
  it.each(['get', 'gets', 'gat 0', 'gats 0'])(
    'is refused as a whole by %s, and the connection goes on',
    async (words) => {
      await using server = limitedServer()
      const exchange = new Exchange(server)
      await exchange.send('set a 0 0 1\r\n1\r\n')
      expect(await exchange.send(`${words}${' a'.repeat(LIMIT + 1)}\r\n`)).toBe(REFUSED)
      expect(server.stats()['response_obj_oom']).toBe(1)
      const answered = await exchange.send(`${words}${' a'.repeat(LIMIT)}\r\n`)
      expect(answered.match(/VALUE a/g)).toHaveLength(LIMIT)
      expect(answered.endsWith('END\r\n')).toBe(true)
    },
  )

  it('refuses a get with too many large values, and releases them', async () => {
    await using server = limitedServer()
    const exchange = new Exchange(server)
    await exchange.send(`set a 0 0 20000\r\n${'x'.repeat(20_000)}\r\n`)
    expect(await exchange.send(`get${' a'.repeat(LIMIT + 1)}\r\n`)).toBe(REFUSED)
    expect(await exchange.send('delete a\r\nget a\r\n')).toBe('DELETED\r\nEND\r\n')
  })
})

describe('a connection that pipelines more requests than maxPendingResponses', () => {
  it.each([
    ['text', 'get a\r\n'],
    ['meta', 'mg a v\r\n'],
    ['binary', packet(0x0a)],
  ])('is closed without an answer: %s', async (_protocol, request) => {
    await using server = limitedServer()
    const within = new Exchange(server)
    const bytes = Buffer.from(request)
    expect(await within.send(Buffer.concat(Array.from({ length: LIMIT }, () => bytes)))).not.toBe('')
    expect(within.closed).toBe(false)
    const beyond = new Exchange(server)
    expect(await beyond.send(Buffer.concat(Array.from({ length: LIMIT + 1 }, () => bytes)))).toBe('')
    expect(beyond.closed).toBe(true)
    expect(server.stats()).toMatchObject({ response_obj_oom: 1, curr_connections: 1 })
  })

  it('is not closed if the others have their turn before', async () => {
    await using server = new MemcachedServer({ maxPendingResponses: LIMIT, maxRequestsPerEvent: LIMIT })
    const exchange = new Exchange(server)
    expect(await exchange.send('mn\r\n'.repeat(100))).toBe('MN\r\n'.repeat(100))
  })
})

describe('-o read_buf_mem_limit', () => {
  it.each([
    ['-t 32 -o read_buf_mem_limit=1', 13],
    ['-o read_buf_mem_limit=1 -t 32', 13],
    ['-o read_buf_mem_limit=1', 819],
    ['-o read_buf_mem_limit=1 -t 500', 13],
    ['-o read_buf_mem_limit=0', undefined],
  ])('allows the responses that memcached keeps in it: %s', (args, expected) => {
    const order = readCommandLine(args.split(' '))
    expect(order.action === 'serve' && order.options.maxPendingResponses).toBe(expected)
  })

  it('is shown by stats settings in bytes', () => {
    expect(readBufferLimit(pendingResponses(1024 * 1024, 1))).toBe(1024 * 1024)
    expect(readBufferLimit(0)).toBe(0)
  })
})
