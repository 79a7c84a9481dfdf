import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CapitalFlag,
  Command,
  Flag,
  FrameReader,
  MetaCode,
  MetaReply,
  NONE,
  nextKey,
  parseMetaReply,
  parseRequest,
  parseValueLine,
  Request,
  Uint64,
  ValueLine,
  writeFlag,
  writeIntFlag,
  writeLineEnd,
  writeMetaCode,
  writeMetaCommand,
  writeMetaForever,
  writeUintFlag,
  writeUint64Flag,
  writeRequestKey,
  writeUint,
  writeValueLine,
  writeWord,
} from '../src/index.ts'
import type { FrameHandler } from '../src/index.ts'

const MAX = 2n ** 64n - 1n
const key = fc.oneof(
  fc.stringMatching(/^[!-~]{1,40}$/),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/[\s\p{C}]/u.test(text)),
  fc.constant('k'.repeat(250)),
)
const value = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const uint64 = fc.bigInt({ min: 0n, max: MAX })
const exptime = fc.integer({ min: -1, max: 2_000_000_000 })
const clientFlags = fc.integer({ min: 0, max: 4_294_967_295 })
const cuts = fc.array(fc.nat(2000), { maxLength: 20 })

function of(amount: bigint): Uint64 {
  const made = new Uint64()
  made.setBigInt(amount)
  return made
}

/** Passes a stream of bytes to a handler, cut at given places, in memory that is reused for each piece. */
function feed(handler: FrameHandler, bytes: Buffer, at: readonly number[]): void {
  const reader = new FrameReader(handler, 4096)
  const shared = Buffer.alloc(bytes.length)
  let from = 0
  for (const cut of [...at.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]) {
    shared.fill(0)
    bytes.copy(shared, 0, from, cut)
    reader.push(shared, 0, cut - from)
    from = cut
  }
  expect(reader.atBoundary).toBe(true)
}

// Requests: formatted as the client does, parsed as the server does.

interface SetRequest {
  readonly kind: 'set'
  readonly key: string
  readonly value: Buffer
  readonly exptime: number
  readonly clientFlags: number
  readonly cas: bigint
}
interface GetRequest {
  readonly kind: 'get'
  readonly key: string
  readonly vivify: number
  readonly recache: number
}
interface ArithmeticRequest {
  readonly kind: 'arithmetic'
  readonly key: string
  readonly delta: bigint
  readonly initial: bigint
}
interface MultiGetRequest {
  readonly kind: 'multiGet'
  readonly keys: readonly string[]
}
type AnyRequest = SetRequest | GetRequest | ArithmeticRequest | MultiGetRequest

const request: fc.Arbitrary<AnyRequest> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key, value, exptime, clientFlags, cas: uint64 }),
  fc.record({ kind: fc.constant('get' as const), key, vivify: exptime, recache: exptime }),
  fc.record({ kind: fc.constant('arithmetic' as const), key, delta: uint64, initial: uint64 }),
  fc.record({ kind: fc.constant('multiGet' as const), keys: fc.array(key, { minLength: 1, maxLength: 10 }) }),
)

function formatRequest(sent: AnyRequest): Buffer {
  const out = Buffer.alloc(4096)
  let at: number
  if (sent.kind === 'multiGet') {
    at = writeWord(out, 0, 'get')
    for (const asked of sent.keys) at = writeRequestKey(out, writeWord(out, at, ' '), asked)
    return Buffer.from(out.subarray(0, writeLineEnd(out, at)))
  }
  if (sent.kind === 'set') {
    at = writeRequestKey(out, writeMetaCommand(out, 0, 115), sent.key)
    out[at] = 32
    at = writeUint(out, at + 1, sent.value.length)
    at = writeIntFlag(out, at, 70, sent.clientFlags)
    at = writeIntFlag(out, at, 84, sent.exptime)
    at = writeUint64Flag(out, at, 67, of(sent.cas))
    at = writeFlag(out, at, 99)
    at = writeLineEnd(out, at)
    at += sent.value.copy(out, at)
    return Buffer.from(out.subarray(0, writeLineEnd(out, at)))
  }
  if (sent.kind === 'get') {
    at = writeRequestKey(out, writeMetaCommand(out, 0, 103), sent.key)
    at = writeIntFlag(out, at, 78, sent.vivify)
    at = writeIntFlag(out, at, 82, sent.recache)
    at = writeFlag(out, at, 118)
  } else {
    at = writeRequestKey(out, writeMetaCommand(out, 0, 97), sent.key)
    at = writeUint64Flag(out, at, 68, of(sent.delta))
    at = writeUint64Flag(out, at, 74, of(sent.initial))
  }
  return Buffer.from(out.subarray(0, writeLineEnd(out, at)))
}

/** A server that only records its requests. */
class RequestRecorder implements FrameHandler {
  readonly received: AnyRequest[] = []
  readonly #request = new Request()
  #block: Buffer[] = []

  line(buffer: Buffer, start: number, end: number): number {
    const parsed = this.#request
    parseRequest(parsed, buffer, start, end)
    expect(parsed.error).toBe(0)
    const name = parsed.keyBuffer.toString('utf8', parsed.keyStart, parsed.keyStart + parsed.keyLength)
    if (parsed.command === Command.metaSet) {
      expect(parsed.flags).toBe(Flag.returnCas)
      this.received.push({
        kind: 'set',
        key: name,
        value: Buffer.alloc(0),
        exptime: parsed.exptime,
        clientFlags: parsed.clientFlags,
        cas: parsed.cas.toBigInt(),
      })
      return parsed.valueLength
    }
    if (parsed.command === Command.metaGet) {
      expect(parsed.capitalFlags).toBe(CapitalFlag.vivify | CapitalFlag.recache)
      this.received.push({ kind: 'get', key: name, vivify: parsed.vivifyExptime, recache: parsed.recacheExptime })
    } else if (parsed.command === Command.metaArithmetic) {
      const [delta, initial] = [parsed.delta.toBigInt(), parsed.initial.toBigInt()]
      this.received.push({ kind: 'arithmetic', key: name, delta, initial })
    } else {
      const keys: string[] = []
      while (nextKey(parsed)) {
        keys.push(parsed.keyBuffer.toString('utf8', parsed.keyStart, parsed.keyStart + parsed.keyLength))
      }
      this.received.push({ kind: 'multiGet', keys })
    }
    return NONE
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.#block.push(Buffer.from(buffer.subarray(start, end)))
  }

  dataEnd(terminated: boolean): number {
    expect(terminated).toBe(true)
    this.received.push({ ...(this.received.pop() as SetRequest), value: Buffer.concat(this.#block) })
    this.#block = []
    return NONE
  }

  longLine(): boolean {
    return true
  }
}

// Replies: formatted as the server does, parsed as the client does.

interface ItemReply {
  readonly kind: 'meta' | 'classic'
  readonly key: string
  readonly value: Buffer
  readonly clientFlags: number
  readonly cas: bigint
  readonly ttl: number
  readonly won: boolean
  readonly lost: boolean
}

const reply: fc.Arbitrary<ItemReply> = fc.record({
  kind: fc.constantFrom('meta' as const, 'classic' as const),
  key,
  value,
  clientFlags,
  cas: uint64,
  ttl: fc.integer({ min: -1, max: 2_592_000 }),
  won: fc.boolean(),
  lost: fc.boolean(),
})

function formatReply(sent: ItemReply): Buffer {
  const out = Buffer.alloc(2048)
  let at: number
  if (sent.kind === 'classic') {
    const name = Buffer.from(sent.key)
    at = writeValueLine(out, 0, name, 0, name.length, sent.clientFlags, sent.value.length, of(sent.cas))
  } else {
    at = writeMetaCode(out, 0, MetaCode.VA)
    out[at] = 32
    at = writeUint(out, at + 1, sent.value.length)
    at = writeUintFlag(out, at, 102, sent.clientFlags)
    at = writeUint64Flag(out, at, 99, of(sent.cas))
    at = sent.ttl === -1 ? writeMetaForever(out, at, 116) : writeUintFlag(out, at, 116, sent.ttl)
    if (sent.lost) at = writeFlag(out, at, 90)
    if (sent.won) at = writeFlag(out, at, 87)
    at = writeLineEnd(out, at)
  }
  at += sent.value.copy(out, at)
  return Buffer.from(out.subarray(0, writeLineEnd(out, at)))
}

class ReplyRecorder implements FrameHandler {
  readonly received: Partial<ItemReply>[] = []
  readonly #meta = new MetaReply()
  readonly #line = new ValueLine()
  #block: Buffer[] = []

  line(buffer: Buffer, start: number, end: number): number {
    if (parseValueLine(this.#line, buffer, start, end)) {
      this.received.push({
        kind: 'classic',
        key: buffer.toString('utf8', this.#line.keyStart, this.#line.keyEnd),
        clientFlags: this.#line.clientFlags,
        cas: this.#line.casUnique.toBigInt(),
      })
      return this.#line.valueLength
    }
    expect(parseMetaReply(this.#meta, buffer, start, end)).toBe(true)
    const { clientFlags, casUnique, ttlSeconds, won, lost } = this.#meta
    this.received.push({ kind: 'meta', clientFlags, cas: casUnique.toBigInt(), ttl: ttlSeconds, won, lost })
    return this.#meta.valueLength
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.#block.push(Buffer.from(buffer.subarray(start, end)))
  }

  dataEnd(terminated: boolean): number {
    expect(terminated).toBe(true)
    this.received.push({ ...this.received.pop(), value: Buffer.concat(this.#block) })
    this.#block = []
    return NONE
  }

  longLine(): boolean {
    return true
  }
}

describe('formatted requests are parsed unchanged, cut at any place', () => {
  it('for requests', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 8 }), cuts, (requests, at) => {
        const recorder = new RequestRecorder()
        feed(recorder, Buffer.concat(requests.map(formatRequest)), at)
        expect(recorder.received).toEqual(requests)
      }),
      { numRuns: 500 },
    )
  })

  it('for replies', () => {
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 8 }), cuts, (replies, at) => {
        const recorder = new ReplyRecorder()
        feed(recorder, Buffer.concat(replies.map(formatReply)), at)
        expect(recorder.received).toHaveLength(replies.length)
        for (const [index, sent] of replies.entries()) expect(sent).toMatchObject(recorder.received[index]!)
      }),
      { numRuns: 500 },
    )
  })
})
