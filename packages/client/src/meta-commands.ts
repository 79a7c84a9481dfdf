import {
  exptimeOf,
  joinKey,
  MemcacheOptionError,
  MemcacheProtocolError,
  MetaCode,
  ttlToSeconds,
  Uint64,
  writeFlag,
  writeIntFlag,
  writeLineEnd,
  writeMetaCommand,
  writeRequestKey,
  writeUint,
  writeUint64Flag,
} from 'memcache-ts-protocol'
import type { Clock, Key, MetaReply, Ttl } from 'memcache-ts-protocol'
import type {
  CallOptions,
  MetaArithmeticOptions,
  MetaCounter,
  MetaDeleteOptions,
  MetaGetOptions,
  MetaItem,
  MetaSetOptions,
  MetaSetResult,
} from './call-options.ts'
import type { Connection } from './connection.ts'
import type { Dispatcher } from './dispatcher.ts'
import { isStub, LinesOperation, MetaOperation } from './operation.ts'
import type { ValueCodec, ValueReader } from './values/value-codec.ts'

const LETTER = {
  a: 97,
  c: 99,
  d: 100,
  f: 102,
  g: 103,
  s: 115,
  t: 116,
  v: 118,
  C: 67,
  D: 68,
  E: 69,
  F: 70,
  I: 73,
  J: 74,
  M: 77,
  N: 78,
  R: 82,
  T: 84,
} as const
const SPACE = 32
const MODES = { set: 83, add: 69, replace: 82, append: 65, prepend: 80 } as const
/** A lease below this may be over at once: memcached's seconds are not finer. */
const LEAST_SECONDS = 1

const amount = new Uint64()
const MAX_UINT64 = 2n ** 64n - 1n

/**
 * The meta commands (protocol.txt, "Meta Commands"), their one-letter flags spelled out: leases, stale values and
 * compare-and-swap without a second round trip.
 */
export class MetaCommands {
  readonly #dispatcher: Dispatcher
  readonly #codec: ValueCodec
  readonly #reader: ValueReader
  readonly #clock: Clock

  constructor(dispatcher: Dispatcher, codec: ValueCodec, reader: ValueReader, clock: Clock) {
    this.#dispatcher = dispatcher
    this.#codec = codec
    this.#reader = reader
    this.#clock = clock
  }

  /** mg: an item with all that is known of it; `undefined` is a miss. */
  get<Value = unknown>(key: Key, options?: MetaGetOptions): Promise<MetaItem<Value> | undefined> {
    return this.fetch(key, options, itemOf<Value>)
  }

  /** mg, with a result of the caller's making: what the commands of the text protocol are made of. */
  fetch<Result>(
    key: Key,
    options: MetaGetOptions | undefined,
    build: (reply: MetaReply, value: unknown) => Result,
  ): Promise<Result | undefined> {
    const touches = options?.touchTtl !== undefined
    return this.#run(key, options, touches, LETTER.g, this.#reader, build, (out, start) => {
      let at = start
      if (options?.touchTtl !== undefined) at = writeIntFlag(out, at, LETTER.T, this.exptime(options.touchTtl))
      if (options?.vivifySeconds !== undefined) {
        at = writeIntFlag(out, at, LETTER.N, seconds('vivifySeconds', options.vivifySeconds))
      }
      if (options?.recacheSeconds !== undefined) {
        at = writeIntFlag(out, at, LETTER.R, seconds('recacheSeconds', options.recacheSeconds))
      }
      for (const letter of ITEM_FLAGS) at = writeFlag(out, at, letter)
      return options?.value === false ? at : writeFlag(out, at, LETTER.v)
    })
  }

  /** mg with no more than a value needs; a miss is `undefined`. */
  value<Value>(key: Key, options: CallOptions | undefined): Promise<Value | undefined> {
    return this.#run(key, options, false, LETTER.g, this.#reader, valueOf<Value>, writeValueFlags)
  }

  /** ms: stores a value. */
  set(key: Key, value: unknown, options?: MetaSetOptions): Promise<MetaSetResult> {
    return new Promise((resolve, reject) => {
      throwIfAborted(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const exptime = this.exptime(options?.ttl ?? Infinity)
      const { bytes, clientFlags } = this.#codec.encode(value)
      const mode = options?.mode === undefined ? undefined : MODES[options.mode]
      if (options?.mode !== undefined && mode === undefined) {
        throw new MemcacheOptionError(`mode must be one of ${Object.keys(MODES).join(', ')}, got '${options.mode}'`)
      }
      const connection = this.#dispatcher.connectionFor(wireKey, options)
      const { requests } = connection
      const out = requests.buffer
      let at = writeRequestKey(out, writeMetaCommand(out, requests.at, LETTER.s), wireKey)
      out[at] = SPACE
      at = writeUint(out, at + 1, bytes.length)
      if (clientFlags !== 0) at = writeIntFlag(out, at, LETTER.F, clientFlags)
      if (exptime !== 0) at = writeIntFlag(out, at, LETTER.T, exptime)
      at = writeFlag(out, at, LETTER.c)
      if (mode !== undefined && mode !== MODES.set) at = writeLetters(out, at, LETTER.M, mode)
      if (options?.compareCas !== undefined) at = writeAmount(out, at, LETTER.C, options.compareCas)
      if (options?.newCas !== undefined) at = writeAmount(out, at, LETTER.E, options.newCas)
      if (options?.invalidate === true) at = writeFlag(out, at, LETTER.I)
      requests.at = writeLineEnd(out, at)
      requests.appendValue(bytes)
      const details = { key: joinKey(key), writes: true, sendsValue: true }
      const operation = new MetaOperation(details, undefined, setResult, resolve, reject)
      this.#dispatcher.send(connection, operation, options)
    })
  }

  /** md: deletes an item, or marks it stale. */
  delete(key: Key, options?: MetaDeleteOptions): Promise<'deleted' | 'exists' | 'notFound'> {
    return this.#run(key, options, true, LETTER.d, undefined, deleteResult, (out, start) => {
      let at = start
      if (options?.compareCas !== undefined) at = writeAmount(out, at, LETTER.C, options.compareCas)
      if (options?.newCas !== undefined) at = writeAmount(out, at, LETTER.E, options.newCas)
      if (options?.invalidate === true) at = writeFlag(out, at, LETTER.I)
      return options?.ttl === undefined ? at : writeIntFlag(out, at, LETTER.T, this.exptime(options.ttl))
    })
  }

  /**
   * ma: adds to a counter, or takes from it; `undefined` is a miss without `vivifyTtl`, or a `compareCas` that does not
   * fit. Given bigints, the value is a bigint: exact over 2^53.
   */
  arithmetic<Amount extends number | bigint = number>(
    key: Key,
    options?: MetaArithmeticOptions<Amount>,
  ): Promise<MetaCounter<Widened<Amount>> | undefined> {
    const exact = typeof options?.delta === 'bigint' || typeof options?.initial === 'bigint'
    const build = (reply: MetaReply, value: unknown): MetaCounter<Widened<Amount>> | undefined => {
      if (reply.code === MetaCode.NF || reply.code === MetaCode.EX || reply.code === MetaCode.NS) return undefined
      const digits = value as string
      return {
        value: (exact ? BigInt(digits) : Number(digits)) as Widened<Amount>,
        casUnique: reply.casUnique.toBigInt(),
        ttlSeconds: reply.ttlSeconds === -1 ? Infinity : reply.ttlSeconds,
      }
    }
    return this.#run(key, options, true, LETTER.a, DIGITS, build, (out, start) => {
      let at = start
      if (options?.vivifyTtl !== undefined) at = writeIntFlag(out, at, LETTER.N, this.exptime(options.vivifyTtl))
      if (options?.initial !== undefined) at = writeAmount(out, at, LETTER.J, options.initial)
      if (options?.delta !== undefined) at = writeAmount(out, at, LETTER.D, options.delta)
      if (options?.mode === 'decr') at = writeLetters(out, at, LETTER.M, LETTER.D)
      if (options?.compareCas !== undefined) at = writeAmount(out, at, LETTER.C, options.compareCas)
      if (options?.ttl !== undefined) at = writeIntFlag(out, at, LETTER.T, this.exptime(options.ttl))
      at = writeFlag(out, at, LETTER.c)
      at = writeFlag(out, at, LETTER.t)
      return writeFlag(out, at, LETTER.v)
    })
  }

  /**
   * me: what the server knows of an item, by the names that it uses (`exp`, `la`, `cas`, `fetch`, `cls`, `size`);
   * `undefined` is a miss. For people to read, not for programs to rely on.
   */
  debug(key: Key, options?: CallOptions): Promise<Record<string, string> | undefined> {
    return new Promise((resolve, reject) => {
      throwIfAborted(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const connection = this.#dispatcher.connectionFor(wireKey, options)
      connection.requests.append(`me ${wireKey}\r\n`)
      const answered = ([line = '']: string[]): void => resolve(readDebug(line))
      const details = { key: joinKey(key), writes: false }
      this.#dispatcher.send(connection, new LinesOperation(details, false, answered, reject), options)
    })
  }

  /** mn: resolves when every server has answered, and so has done all that was asked of it before on that connection. */
  async noop(options?: CallOptions): Promise<void> {
    throwIfAborted(options)
    await Promise.all(
      this.#dispatcher.pools.map(
        (pool) =>
          new Promise<void>((resolve, reject) => {
            const connection = this.#dispatcher.open(pool, '')
            connection.requests.append('mn\r\n')
            this.#dispatcher.send(
              connection,
              new LinesOperation({ writes: false }, false, () => resolve(), reject),
              options,
            )
          }),
      ),
    )
  }

  /** The exptime of a lifetime, now. */
  exptime(ttl: Ttl): number {
    return exptimeOf(ttlToSeconds(ttl, 'ttl'), this.#clock.nowMs())
  }

  /** Sends `m<letter> <key> <flags>`. What `flags` throws comes before anything was sent. */
  #run<Result>(
    key: Key,
    options: CallOptions | undefined,
    writes: boolean,
    letter: number,
    reader: ValueReader | undefined,
    build: (reply: MetaReply, value: unknown) => Result,
    flags: (out: Buffer, at: number) => number,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      throwIfAborted(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const connection: Connection = this.#dispatcher.connectionFor(wireKey, options)
      const { requests } = connection
      const out = requests.buffer
      const at = flags(out, writeRequestKey(out, writeMetaCommand(out, requests.at, letter), wireKey))
      requests.at = writeLineEnd(out, at)
      const name = typeof key === 'string' ? key : joinKey(key)
      this.#dispatcher.send(
        connection,
        new MetaOperation({ key: name, writes }, reader, build, resolve, reject),
        options,
      )
    })
  }
}

/** A literal type as what it is one of: the counter of a delta of `1n` is any bigint. */
export type Widened<Amount extends number | bigint> = Amount extends bigint ? bigint : number

const ITEM_FLAGS = [LETTER.c, LETTER.f, LETTER.s, LETTER.t] as const

function writeValueFlags(out: Buffer, at: number): number {
  return writeFlag(out, writeFlag(out, at, LETTER.f), LETTER.v)
}

/** Digits are read as text: they may be more than a number holds. */
const DIGITS: ValueReader = { read: (buffer, start, end) => buffer.toString('latin1', start, end) }

function itemOf<Value>(reply: MetaReply, value: unknown): MetaItem<Value> | undefined {
  if (reply.code === MetaCode.EN) return undefined
  return {
    value: (isStub(reply) ? undefined : value) as Value | undefined,
    size: reply.size,
    casUnique: reply.casUnique.toBigInt(),
    clientFlags: reply.clientFlags,
    ttlSeconds: reply.ttlSeconds === -1 ? Infinity : reply.ttlSeconds,
    won: reply.won,
    stale: reply.stale,
    lost: reply.lost,
  }
}

function valueOf<Value>(reply: MetaReply, value: unknown): Value | undefined {
  return reply.code === MetaCode.EN ? undefined : (value as Value)
}

/** `ME <key> <name>=<value>*`. */
function readDebug(line: string): Record<string, string> | undefined {
  if (!line.startsWith('ME ')) return undefined
  return Object.fromEntries([...line.matchAll(/ ([a-z]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]))
}

const SET_STATUS: Readonly<Record<number, MetaSetResult['status']>> = {
  [MetaCode.HD]: 'stored',
  [MetaCode.NS]: 'notStored',
  [MetaCode.EX]: 'exists',
  [MetaCode.NF]: 'notFound',
}

function setResult(reply: MetaReply): MetaSetResult {
  const status = SET_STATUS[reply.code]
  if (status === undefined) throw unexpectedCode('ms', reply)
  return { status, casUnique: reply.casUnique.toBigInt() }
}

function deleteResult(reply: MetaReply): 'deleted' | 'exists' | 'notFound' {
  if (reply.code === MetaCode.HD) return 'deleted'
  if (reply.code === MetaCode.EX) return 'exists'
  if (reply.code === MetaCode.NF) return 'notFound'
  throw unexpectedCode('md', reply)
}

function unexpectedCode(command: string, reply: MetaReply): MemcacheProtocolError {
  return new MemcacheProtocolError(
    `${command} was answered ${String.fromCharCode(reply.code >>> 8, reply.code & 0xff)}`,
  )
}

function writeLetters(out: Buffer, at: number, first: number, second: number): number {
  const end = writeFlag(out, at, first)
  out[end] = second
  return end + 1
}

function writeAmount(out: Buffer, at: number, letter: number, value: number | bigint): number {
  if (typeof value === 'number' ? !Number.isSafeInteger(value) || value < 0 : value < 0n || value > MAX_UINT64) {
    throw new MemcacheOptionError(`memcached counts in whole numbers from 0 to 2^64 - 1, got ${value}`)
  }
  amount.setBigInt(BigInt(value))
  return writeUint64Flag(out, at, letter, amount)
}

function seconds(name: string, value: number): number {
  if (!(value >= LEAST_SECONDS))
    throw new MemcacheOptionError(`${name} must be at least ${LEAST_SECONDS}, got ${value}`)
  return Math.ceil(value)
}

function throwIfAborted(options: CallOptions | undefined): void {
  options?.signal?.throwIfAborted()
}
