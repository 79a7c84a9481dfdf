import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { MemcachedServer } from 'memcache-ts-server'
import { randomFrom } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheError } from '../src/index.ts'
import type { MemcachedClientOptions, ServerStream } from '../src/index.ts'

/** Runs for each protocol; each is a connection whose answers are changed in other ways. `FUZZ_SEED` takes other ones. */
const RUNS = 240
const AT_ONCE = 40
const FIRST_SEED = Number(process.env['FUZZ_SEED'] ?? 1)
/** No mutation makes one key, or one value, of another: what a fault has written there no client can notice. */
const names = Array.from({ length: 12 }, (_, index) => String.fromCharCode(97 + index).repeat(3))
const keys = names.map((name) => `key:${name}`)
/** A key's value says at both ends whose it is. */
const valueOf = (key: string): string => {
  const name = key.slice(4)
  return `${name}${'.-'.repeat(1 + (names.indexOf(name) % 5) * 200)}${name}`
}
const keyByValue = new Map(keys.map((key) => [valueOf(key), key]))

/** Words of broken servers and of valid responses. */
const WORDS = [
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\0',
  'END\r\n',
  'EN\r\n',
  'HD\r\n',
  'MN\r\n',
  'NF\r\n',
  'STORED\r\n',
  'VALUE key:aaa 1 3\r\nXYZ\r\nEND\r\n',
  'VALUE key:bbb 1 0\r\n\r\n',
  'VALUE key:ccc 1 999999999999999\r\n',
  'VALUE key:ccc 1 99999999999999999999999\r\n',
  'VALUE key:ccc -1 -1\r\n',
  'VA 2 f1\r\nXY\r\n',
  'VA 1073741825 f1\r\n',
  'VA 900000000 f1\r\n',
  'VA -1\r\n',
  'ME key:aaa \r\n',
  'STAT \r\n',
  'RESET\r\n',
  'BUSY\r\n',
  'ERROR\r\n',
  'ERROR Too many open connections\r\n',
  'CLIENT_ERROR bad data chunk\r\n',
  'SERVER_ERROR out of memory\r\n',
  '18446744073709551616\r\n',
  '\x81\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00',
  '\x81\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00',
  '\xff'.repeat(30),
  '9'.repeat(40),
  'Y'.repeat(5000),
].map((word) => Buffer.from(word, 'latin1'))

/** Changes a piece of an answer in one of the ways that faults do. */
function mutate(chunk: Buffer, earlier: readonly Buffer[], random: (below: number) => number): Buffer[] {
  const at = random(chunk.length + 1)
  const to = Math.min(chunk.length, at + 1 + random(20))
  const [before, cut, after] = [chunk.subarray(0, at), chunk.subarray(at, to), chunk.subarray(to)]
  switch (random(8)) {
    case 0:
      return [before, WORDS[random(WORDS.length)]!, cut, after]
    case 1:
      return [before, after]
    case 2:
      return [before, cut, cut, after]
    case 3:
      return [before, Buffer.from(cut.map(() => 65 + random(26))), after]
    case 4:
      return [before, Buffer.from(cut.map((byte) => byte ^ (1 << random(8)))).subarray(0, 1), after]
    case 5:
      return [chunk, earlier[random(earlier.length)] ?? chunk]
    case 6:
      return [
        Buffer.from(chunk.toString('latin1').replace(/\d+/, String(random(2) === 0 ? 2 ** 52 : random(10))), 'latin1'),
      ]
    default:
      return []
  }
}

/** Puts itself before a server: once the handshake is done, a part of the answers is changed, split, or cut off. */
function mutating(server: () => Duplex, random: (below: number) => number): Duplex {
  const [ours, theirs] = duplexPair()
  const behind = server()
  const earlier: Buffer[] = []
  // The handshake is changed now and then, too.
  const spared = random(4) === 0 ? 0 : 3
  theirs.on('data', (chunk: Buffer) => behind.write(Buffer.from(chunk)))
  theirs.on('end', () => behind.end())
  for (const stream of [ours, theirs, behind]) stream.on('error', () => {})
  behind.on('data', (given: Buffer) => {
    const chunk = Buffer.from(given)
    earlier.push(chunk)
    const changed = earlier.length > spared && random(3) === 0 ? mutate(chunk, earlier, random) : [chunk]
    const bytes = Buffer.concat(changed)
    const split = random(bytes.length + 1)
    if (theirs.writableEnded) return
    theirs.write(bytes.subarray(0, split))
    theirs.write(bytes.subarray(split))
    if (random(40) === 0) theirs.end()
  })
  behind.on('end', () => theirs.writableEnded || theirs.end())
  return ours
}

/** The basic commands of the binary protocol, over a map. */
function binaryServer(): Duplex {
  const [near, far] = duplexPair()
  let held = Buffer.alloc(0)
  near.on('error', () => {})
  near.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    while (held.length >= 24 && held.length >= 24 + held.readUInt32BE(8)) {
      const length = 24 + held.readUInt32BE(8)
      near.write(answerBinary(held.subarray(0, length)))
      held = held.subarray(length)
    }
  })
  return far
}

function answerBinary(request: Buffer): Buffer {
  const opcode = request[1]!
  const keyStart = 24 + request[4]!
  const key = request.toString('latin1', keyStart, keyStart + request.readUInt16BE(2))
  const flags = Buffer.of(0, 0, 0, 1)
  const packet = (parts: { status?: number; extras?: Buffer; key?: string; value?: Buffer }): Buffer => {
    const { status = 0, extras = Buffer.alloc(0), value = Buffer.alloc(0) } = parts
    const name = Buffer.from(parts.key ?? '')
    const header = Buffer.alloc(24)
    header.set([0x81, opcode])
    header.writeUInt16BE(name.length, 2)
    header[4] = extras.length
    header.writeUInt16BE(status, 6)
    header.writeUInt32BE(extras.length + name.length + value.length, 8)
    request.copy(header, 12, 12, 16)
    return Buffer.concat([header, extras, name, value])
  }
  switch (opcode) {
    case 0x00:
    case 0x1d:
      return keys.includes(key) ? packet({ extras: flags, value: Buffer.from(valueOf(key)) }) : packet({ status: 1 })
    case 0x0d:
      return keys.includes(key) ? packet({ extras: flags, key, value: Buffer.from(valueOf(key)) }) : Buffer.alloc(0)
    case 0x05:
      return packet({ value: Buffer.of(0, 0, 0, 0, 0, 0, 0, 7) })
    case 0x0b:
      return packet({ value: Buffer.from('1.6.45') })
    case 0x10:
      return Buffer.concat([packet({ key: 'pid', value: Buffer.from('1') }), packet({})])
    default:
      return packet({})
  }
}

/** One run: calls of all kinds over mutated answers. Returns what is wrong. */
async function run(
  options: MemcachedClientOptions,
  server: () => Duplex,
  seed: number,
  found: { hits: number },
): Promise<unknown[]> {
  const random = randomFrom(seed)
  const stream: ServerStream = { name: `fuzz${seed}`, connect: () => mutating(server, random) }
  const client = new MemcachedClient({
    timeoutMs: 80,
    connectTimeoutMs: 80,
    poolSize: 1,
    ...options,
    servers: [stream],
  })
  const wrong: unknown[] = []
  const checkValue = (key: string, value: unknown): void => {
    const owner = keyByValue.get(Buffer.isBuffer(value) ? value.toString('latin1') : (value as string))
    if (owner === key) found.hits++
    else if (owner !== undefined) wrong.push({ seed, key, owner })
  }
  const asked: Promise<unknown>[] = []
  for (let round = 0; round < 6; round++) {
    const key = keys[random(keys.length)]!
    asked.push(
      client.get(key).then((value) => checkValue(key, value)),
      client.gets(key).then((item) => checkValue(key, item?.value)),
      client.getMulti(keys).then((hits) => hits.forEach((value, of) => checkValue(of, value))),
      client.gat(key, 60).then((value) => checkValue(key, value)),
      client.meta.get(key).then((item) => checkValue(key, item?.value)),
      client.set(key, valueOf(key)),
      client.incr('counter', 1),
      client.delete('nothing'),
      client.touch(key, 60),
      client.version(),
      client.stats(),
      client.meta.debug(key),
    )
    if (random(2) === 0) await Promise.allSettled(asked)
  }
  for (const outcome of await Promise.allSettled(asked)) {
    if (outcome.status === 'rejected' && !(outcome.reason instanceof MemcacheError))
      wrong.push({ seed, error: outcome.reason })
  }
  await client.close()
  return wrong
}

const PROTOCOLS: Record<string, MemcachedClientOptions> = {
  text: { protocol: 'text' },
  meta: { protocol: 'auto' },
  binary: { protocol: 'binary', username: 'u', password: 'p' },
}

describe.each(Object.entries(PROTOCOLS))('mutated answers of the %s protocol', (name, options) => {
  it('end no process, settle every call, and give no key the value of another', async () => {
    await using store = new MemcachedServer()
    const server = (): Duplex => {
      if (name === 'binary') return binaryServer()
      const [ours, theirs] = duplexPair()
      store.handle(theirs)
      return ours
    }
    await using filling = new MemcachedClient({ servers: [{ name: 'store', connect: server }], ...options })
    if (name !== 'binary') {
      for (const key of keys) await filling.set(key, valueOf(key))
      await filling.set('counter', 1)
    }
    const before = process.memoryUsage().arrayBuffers
    const wrong: unknown[] = []
    const found = { hits: 0 }
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed += AT_ONCE) {
      const runs = Array.from({ length: AT_ONCE }, (_, index) => run(options, server, seed + index, found))
      for (const ofRun of await Promise.all(runs)) wrong.push(...ofRun)
    }
    expect(wrong).toEqual([])
    // Many answers are as they were; how many are in time depends on the machine.
    expect(found.hits).toBeGreaterThan(RUNS)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 1024 * 1024)
  })
})

/** More than any response that ends, and less than what would fill the memory if it were kept several times. */
const POURED_BYTES = 100 * 1024 * 1024

/** Says the same as fast as it is taken, for longer than any response: how much in a time depends on the machine. */
function endless(handshake: (request: string) => string, piece: string): () => Duplex {
  return () => {
    const [ours, theirs] = duplexPair()
    const bytes = Buffer.from(piece, 'latin1')
    let isOpen = true
    let leftBytes = POURED_BYTES
    for (const event of ['end', 'close', 'error']) theirs.on(event, () => (isOpen = false))
    const pour = (): void => {
      if (!isOpen || !theirs.writable || leftBytes <= 0) return
      leftBytes -= bytes.length
      theirs.write(bytes, () => setImmediate(pour))
    }
    let poured = false
    theirs.on('data', (chunk: Buffer) => {
      const answer = handshake(chunk.toString('latin1'))
      if (answer !== '') theirs.write(answer)
      else if (!poured) {
        poured = true
        pour()
      }
    })
    return ours
  }
}

const textHandshake = (request: string): string =>
  request.startsWith('version') ? 'VERSION 1.6.45\r\n' : request.startsWith('mn') ? 'ERROR\r\n' : ''
const metaHandshake = (request: string): string =>
  request.startsWith('version') ? 'VERSION 1.6.45\r\n' : request.startsWith('mn') ? 'MN\r\n' : ''

describe.each<[string, (request: string) => string, string]>([
  ['a line', textHandshake, 'x'.repeat(60_000)],
  ['statistics', textHandshake, 'STAT a b\r\n'.repeat(6000)],
  ['empty lines', textHandshake, '\r\n'.repeat(30_000)],
  ['hits of one key', textHandshake, 'VALUE key:aaa 1 1\r\nx\r\n'.repeat(3000)],
  ['empty hits, which may be leases', metaHandshake, 'VALUE key:aaa 0 0\r\n\r\n'.repeat(3000)],
  ['a value', textHandshake, `VALUE key:aaa 1 1073741824\r\n${'x'.repeat(60_000)}`],
  ['a value by meta', metaHandshake, `VA 1073741824 f1\r\n${'x'.repeat(60_000)}`],
  ['responses to no request', metaHandshake, 'EN\r\n'.repeat(15_000)],
])('a server that sends %s without end', (_, handshake, piece) => {
  it.each<[string, (client: MemcachedClient) => Promise<unknown>]>([
    ['get', (client) => client.get('key:aaa')],
    ['gets', (client) => client.gets('key:aaa')],
    ['getMulti', (client) => client.getMulti(['key:aaa', 'key:bbb'])],
    ['stats', (client) => client.stats()],
  ])('fails %s in bounded memory', async (__, call) => {
    const connect = endless(handshake, piece)
    const client = new MemcachedClient({ servers: [{ name: 'endless', connect }], timeoutMs: 300, poolSize: 1 })
    const before = process.memoryUsage()
    await call(client).catch((error: unknown) => expect(error).toBeInstanceOf(MemcacheError))
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    expect(arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed).toBeLessThan(400 * 1024 * 1024)
    await client.close()
  })
})

it.each([
  'VALUE key:aaa 1 1073741825',
  'VALUE key:aaa 1 999999999999999',
  'VALUE key:aaa 1 -1',
  'VALUE key:aaa 1 1e9',
  'VALUE key:aaa 1',
])('a value whose announced length cannot be is a protocol error at once: %s', async (line) => {
  const connect = endless(textHandshake, `${line}\r\nx`)
  const client = new MemcachedClient({ servers: [{ name: 'absurd', connect }], timeoutMs: 60_000, poolSize: 1 })
  await expect(client.get('key:aaa')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_PROTOCOL' })
  await client.close()
})

it('an announced length alone costs no memory', async () => {
  let announced = 0
  const silentAfter = (line: string) => (): Duplex => {
    const [ours, theirs] = duplexPair()
    theirs.on('data', (chunk: Buffer) => {
      const handshake = textHandshake(chunk.toString('latin1'))
      if (handshake !== '') theirs.write(handshake)
      else theirs.write(`${line}\r\nxyz`, () => announced++)
    })
    return ours
  }
  const before = process.memoryUsage().arrayBuffers
  const clients = Array.from({ length: 10 }, (_, index) => {
    const connect = silentAfter('VALUE key:aaa 1 1000000000')
    return new MemcachedClient({ servers: [{ name: `server${index}`, connect }], timeoutMs: 500, poolSize: 1 })
  })
  const asked = Promise.allSettled(clients.map((client) => client.get('key:aaa')))
  await expect.poll(() => announced).toBe(clients.length)
  await new Promise((resolve) => setImmediate(resolve))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
  await asked
  await Promise.all(clients.map((client) => client.close()))
})
