import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheError } from '../src/index.ts'

/**
 * Answers that are well-formed, and carry the request's own opaque or key, but are no answer to that kind of request:
 * those of other commands, and numbers that are none of memcached's.
 */

const HANDSHAKE: Readonly<Record<string, string>> = { version: 'VERSION 1.6.45\r\n', mn: 'MN\r\n' }

/** A server that performs the handshake and then sends one answer to everything, with the opaque of the request. */
function answering(protocol: 'meta' | 'text', answer: string): () => Duplex {
  return () => {
    const [ours, theirs] = duplexPair()
    let greeted = 0
    theirs.on('data', (chunk: Buffer) => {
      const line = chunk.toString('latin1').split('\r\n')[0]!
      const handshake = greeted < (protocol === 'meta' ? 2 : 1) ? HANDSHAKE[line] : undefined
      greeted++
      const opaque = / (O\S+)/.exec(line)?.[1] ?? ''
      theirs.write(handshake ?? answer.replace('{O}', opaque))
    })
    return ours
  }
}

async function outcome(
  protocol: 'meta' | 'text',
  answer: string,
  call: (client: MemcachedClient) => Promise<unknown>,
): Promise<unknown> {
  const connect = answering(protocol, answer)
  await using client = new MemcachedClient({
    servers: [{ name: 'foreign', connect }],
    protocol: protocol === 'meta' ? 'auto' : 'text',
    timeoutMs: 60_000,
    poolSize: 1,
  })
  return call(client).catch((error: unknown) => error)
}

/** Numbers that no counter of 64 bits has. */
const NO_COUNTERS = ['abc', '', '-1', '1e3', '0x10', '1.5', ' 5', '5 5', '18446744073709551616', '9'.repeat(400), 'é']

describe.each(['meta', 'text'] as const)('a counter by %s', (protocol) => {
  it.each(NO_COUNTERS)('is refused if the server responds with %j', async (digits) => {
    const answer = protocol === 'meta' ? `VA ${Buffer.byteLength(digits)} {O}\r\n${digits}\r\n` : `${digits}\r\n`
    const calls = [
      (client: MemcachedClient) => client.incr('n'),
      (client: MemcachedClient) => client.decr('n', 1n),
      ...(protocol === 'meta' ? [(client: MemcachedClient) => client.meta.arithmetic('n', { delta: 1n })] : []),
    ]
    for (const call of calls) {
      const error = await outcome(protocol, answer, call)
      expect(error).toBeInstanceOf(MemcacheError)
      expect(error).toMatchObject({ code: 'ERR_MEMCACHE_PROTOCOL' })
    }
  })

  it.each(['0', '5', '5  ', '18446744073709551615'])('is exact if the server responds with %j', async (digits) => {
    const answer = protocol === 'meta' ? `VA ${digits.length} {O}\r\n${digits}\r\n` : `${digits}\r\n`
    expect(await outcome(protocol, answer, (client) => client.incr('n', 1n))).toBe(BigInt(digits))
  })
})

/** Each call, and the answers that it accepts among `ANSWERS`. */
const CALLS: readonly [name: string, call: (client: MemcachedClient) => Promise<unknown>, accepted: string[]][] = [
  ['get', (client) => client.get('k'), ['END']],
  ['gets', (client) => client.gets('k'), ['EN']],
  ['gat', (client) => client.gat('k', 5), ['EN']],
  ['touch', (client) => client.touch('k', 5), ['HD', 'EN']],
  ['set', (client) => client.set('k', 'v'), ['HD', 'NS', 'EX', 'NF']],
  ['delete', (client) => client.delete('k'), ['HD', 'EX', 'NF']],
  ['incr', (client) => client.incr('k'), ['NS', 'EX', 'NF', 'EN']],
  ['meta.get', (client) => client.meta.get('k'), ['EN']],
  ['meta.get of an unchanged value', (client) => client.meta.get('k', { compareCas: 1n }), ['HD', 'EN']],
  ['meta.get without the value', (client) => client.meta.get('k', { value: false }), ['HD', 'EN']],
  ['meta.debug', (client) => client.meta.debug('k'), ['ME', 'EN']],
  ['meta.noop', (client) => client.meta.noop(), ['MN']],
  ['version', (client) => client.version(), ['VERSION']],
  ['flushAll', (client) => client.flushAll(), ['OK']],
  ['verbosity', (client) => client.verbosity(0), ['OK']],
]
const ANSWERS: Readonly<Record<string, string>> = {
  HD: 'HD {O}\r\n',
  EN: 'EN {O}\r\n',
  NS: 'NS {O}\r\n',
  EX: 'EX {O}\r\n',
  NF: 'NF {O}\r\n',
  MN: 'MN\r\n',
  ME: 'ME k exp=-1\r\n',
  END: 'END\r\n',
  OK: 'OK\r\n',
  STORED: 'STORED\r\n',
  VERSION: 'VERSION 1.6.45\r\n',
  'an empty line': '\r\n',
}

describe.each(CALLS)('%s', (_, call, accepted) => {
  it('rejects every response that belongs to another command', async () => {
    const taken: string[] = []
    for (const [name, answer] of Object.entries(ANSWERS)) {
      const result = await outcome('meta', answer, call)
      if (result instanceof Error) expect(result).toMatchObject({ code: 'ERR_MEMCACHE_PROTOCOL' })
      else taken.push(name)
    }
    expect(taken).toEqual(Object.keys(ANSWERS).filter((name) => accepted.includes(name)))
  })
})
