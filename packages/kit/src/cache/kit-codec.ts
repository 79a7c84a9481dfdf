import { typedCodec } from 'memcache-ts-client'
import type { CompressionOptions, EncodedValue, ValueCodec } from 'memcache-ts-client'
import { ClientFlags, keyProblem, MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import { Entry } from './entry.ts'
import type { EntryFacts } from './entry.ts'

/** What a lease looks like that nobody has filled, to those who read without knowing of leases. */
export const LEASE_STUB: unique symbol = Symbol('lease stub')

const NEWLINE = 10
/** A value belongs to so many tags at most: each is asked for when it is read. */
const MAX_TAGS = 1000

/** An item's bytes and client flags, made ahead of storing them. */
export class EncodedItem implements EncodedValue {
  readonly bytes: Buffer | string
  readonly clientFlags: number

  constructor(bytes: Buffer | string, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }

  /** Its length in bytes, or for text a little less. */
  get size(): number {
    return this.bytes.length
  }
}

/** The item of a lease that nobody has filled, as memcached itself makes it. */
export const STUB_ITEM = new EncodedItem('', ClientFlags.bytes)

/** The line before an entry's value. */
type Header = readonly [
  clientFlags: number,
  loadMs: number,
  freshUntilMs: number,
  tags: Readonly<Record<string, number>>,
]

/**
 * The kit's values: as the client's `typed`, but bytes have flags of their own, since an empty item with flags 0 is a
 * lease's stub; and entries, which are a value behind a line of JSON.
 */
export class KitCodec implements ValueCodec {
  readonly #typed: ReturnType<typeof typedCodec>

  constructor(compression: CompressionOptions | undefined) {
    this.#typed = typedCodec({ bytesFlags: ClientFlags.kitBytes, compression })
  }

  /** @throws MemcacheOptionError for what cannot be turned into bytes. */
  encode(value: unknown): EncodedItem {
    if (value instanceof EncodedItem) return value
    if (!(value instanceof Entry)) {
      const { bytes, clientFlags } = this.#typed.encode(value)
      return new EncodedItem(bytes, clientFlags)
    }
    const { bytes, clientFlags } = this.#typed.encode(value.value)
    const { loadMs = 0, freshUntilMs = 0, tags = {} } = value.facts
    if (Object.keys(tags).length > MAX_TAGS) throw new MemcacheOptionError(`a value can have ${MAX_TAGS} tags at most`)
    const header = `${JSON.stringify([clientFlags, Math.round(loadMs), freshUntilMs, tags] satisfies Header)}\n`
    return new EncodedItem(
      typeof bytes === 'string' ? header + bytes : Buffer.concat([Buffer.from(header), bytes]),
      ClientFlags.entry,
    )
  }

  decode(bytes: Buffer, clientFlags: number): unknown {
    return this.read(bytes, 0, bytes.length, clientFlags, true)
  }

  /** A value, an `Entry`, or `LEASE_STUB`. */
  read(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown {
    if (clientFlags === ClientFlags.bytes && start === end) return LEASE_STUB
    if (clientFlags !== ClientFlags.entry) return this.#typed.read(buffer, start, end, clientFlags, owned)
    const newline = buffer.subarray(start, end).indexOf(NEWLINE)
    const [flags, loadMs, freshUntilMs, tags] = parseHeader(
      buffer.toString('utf8', start, start + Math.max(0, newline)),
    )
    const facts: EntryFacts = {
      loadMs: loadMs === 0 ? undefined : loadMs,
      freshUntilMs: freshUntilMs === 0 ? undefined : freshUntilMs,
      tags,
    }
    return new Entry(this.#typed.read(buffer, start + newline + 1, end, flags, owned), facts)
  }
}

/** Whether stored bytes are a header: anybody who reaches memcached can write there. */
function isHeader(header: unknown): header is Header {
  if (!Array.isArray(header) || header.length !== 4) return false
  const [clientFlags, loadMs, freshUntilMs, tags] = header as unknown[]
  if (![clientFlags, loadMs, freshUntilMs].every((number) => Number.isSafeInteger(number) && (number as number) >= 0)) {
    return false
  }
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) return false
  const entries = Object.entries(tags)
  return (
    entries.length <= MAX_TAGS &&
    entries.every(([key, generation]) => Number.isSafeInteger(generation) && keyProblem(key) === undefined)
  )
}

function parseHeader(text: string): Header {
  try {
    const header: unknown = JSON.parse(text)
    if (isHeader(header)) return header
  } catch {
    // Said below.
  }
  throw new MemcacheDecodeError('a stored value is not the entry that its client flags say')
}
