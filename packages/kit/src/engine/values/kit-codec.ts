import { typedCodec } from 'memcache-ts-client'
import type { CompressionOptions, EncodedValue, ValueCodec } from 'memcache-ts-client'
import { ClientFlags, keyProblem, MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import { KeyPrefix } from '../cache-key.ts'

/** The decoded value of an unfilled lease. */
export const LEASE_STUB: unique symbol = Symbol('lease stub')

/** The metadata of a value. */
export interface EntryFacts {
  /** How long the loader took, in milliseconds; kept for early refreshes. */
  readonly loadMs?: number | undefined
  /** The end of its freshness, in milliseconds since 1970; `undefined` if it is fresh until its item expires. */
  readonly freshUntilMs?: number | undefined
  /** The generations that its tags had when its load began, by the tags' keys. */
  readonly tags?: Readonly<Record<string, number>> | undefined
}

/** A value with its metadata. */
export class Entry {
  readonly value: unknown
  readonly facts: EntryFacts

  constructor(value: unknown, facts: EntryFacts) {
    this.value = value
    this.facts = facts
  }
}

/** Returns an item's value, with or without an entry. */
export function valueOf(stored: unknown): unknown {
  return stored instanceof Entry ? stored.value : stored
}

const NOTHING: EntryFacts = {}

/** Returns the metadata of an item's value; it is empty without an entry. */
export function factsOf(stored: unknown): EntryFacts {
  return stored instanceof Entry ? stored.facts : NOTHING
}

/** Returns whether the end of freshness that a value carries passed at least `staleSeconds` ago; false without an end. */
export function isPastEnd({ freshUntilMs }: EntryFacts, clock: Clock, staleSeconds = 0): boolean {
  return freshUntilMs !== undefined && freshUntilMs + staleSeconds * 1000 <= clock.nowMs()
}

const NEWLINE = 10
/** For `read`: the codec may keep the bytes. */
const OWNED = true
/** The maximum number of tags of a value, including those of its namespaces: each tag is read when the value is read. */
export const MAX_TAGS = 1000
const TAG_SPACE = `${KeyPrefix.tag}:`

/** Shared by all copies of this package in a process: a session store and its cache may come from different copies. */
const PREPARED = Symbol.for('memcache-ts.prepared-value')

/** An item's bytes and client flags, encoded before it is stored. */
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

/** A value that is already JSON text, not nested deeper than can be decoded. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

Object.defineProperty(EncodedItem.prototype, PREPARED, { value: 'item' })
Object.defineProperty(JsonText.prototype, PREPARED, { value: 'json' })

/** The empty item of an unfilled lease, as memcached creates it. */
export const STUB_ITEM = new EncodedItem('', ClientFlags.bytes)

/** The header line of an entry. */
type Header = readonly [
  clientFlags: number,
  loadMs: number,
  freshUntilMs: number,
  tags: Readonly<Record<string, number>>,
]

/**
 * The codec of the kit's values. It is the client's typed codec, except that bytes have their own flags, since an empty
 * item with flags 0 is an unfilled lease, and that it knows entries: a value behind a line of JSON.
 */
export class KitCodec implements ValueCodec {
  readonly #typed: ReturnType<typeof typedCodec>
  readonly #prefix: string
  readonly #isCompressing: boolean

  /** @param prefix the client's key prefix, which counts towards the length of keys. */
  constructor(compression: CompressionOptions | undefined, prefix: string) {
    this.#prefix = prefix
    this.#isCompressing = compression !== undefined
    this.#typed = typedCodec({ bytesFlags: ClientFlags.kitBytes, compression })
  }

  /** @throws MemcacheOptionError if the value cannot be encoded. */
  encode(value: unknown): EncodedItem {
    const own = typeof value === 'object' && value !== null && isOfKit(value)
    if (own !== false) return own instanceof Entry ? this.entry(this.encode(own.value), own.facts) : this.#prepared(own)
    const { bytes, clientFlags } = this.#typed.encode(value)
    return new EncodedItem(bytes, clientFlags)
  }

  #prepared(value: EncodedItem | JsonText): EncodedItem {
    if (!('text' in value)) return value
    return this.#isCompressing ? this.encode(JSON.parse(value.text)) : new EncodedItem(value.text, ClientFlags.json)
  }

  /** Returns an encoded value with its metadata as an entry. */
  entry({ bytes, clientFlags }: EncodedItem, { loadMs = 0, freshUntilMs = 0, tags = {} }: EntryFacts): EncodedItem {
    if (Object.keys(tags).length > MAX_TAGS) throw new MemcacheOptionError(`a value can have at most ${MAX_TAGS} tags`)
    const header = `${JSON.stringify([clientFlags, Math.round(loadMs), freshUntilMs, tags] satisfies Header)}\n`
    return new EncodedItem(
      typeof bytes === 'string' ? header + bytes : Buffer.concat([Buffer.from(header), bytes]),
      ClientFlags.entry,
    )
  }

  readonly readsLeases = true

  decode(bytes: Buffer, clientFlags: number): unknown {
    return this.read(bytes, 0, bytes.length, clientFlags, OWNED)
  }

  /** Returns whether a decoded value shares no bytes with the response. The value of an entry may share them. */
  copies(clientFlags: number): boolean {
    return clientFlags !== ClientFlags.entry && this.#typed.copies?.(clientFlags) === true
  }

  /** Decodes a value, an `Entry`, or `LEASE_STUB`. */
  read(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown {
    if (clientFlags === ClientFlags.bytes && start === end) return LEASE_STUB
    if (clientFlags !== ClientFlags.entry) return this.#typed.read(buffer, start, end, clientFlags, owned)
    const newline = buffer.subarray(start, end).indexOf(NEWLINE)
    const [flags, loadMs, freshUntilMs, tags] = parseHeader(
      buffer.toString('utf8', start, start + Math.max(0, newline)),
      this.#prefix,
    )
    const facts: EntryFacts = {
      loadMs: loadMs === 0 ? undefined : loadMs,
      freshUntilMs: freshUntilMs === 0 ? undefined : freshUntilMs,
      tags: isEmpty(tags) ? undefined : tags,
    }
    return new Entry(this.#typed.read(buffer, start + newline + 1, end, flags, owned), facts)
  }
}

/** Returns an object if it is one of the kit's forms of a value, and false otherwise. */
function isOfKit(value: object): EncodedItem | JsonText | Entry | false {
  try {
    return value instanceof Entry || PREPARED in value ? (value as EncodedItem | JsonText | Entry) : false
  } catch {
    // A proxy whose handler throws: the codec refuses it.
    return false
  }
}

function isEmpty(tags: Readonly<Record<string, number>>): boolean {
  for (const _ in tags) return false
  return true
}

/**
 * Parses the header of an entry.
 *
 * @throws MemcacheDecodeError if the kit did not write it: foreign content must not be trusted, nor cost much.
 */
function parseHeader(text: string, prefix: string): Header {
  try {
    const header: unknown = JSON.parse(text)
    if (isHeader(header, prefix)) return header
  } catch {
    // Handled below.
  }
  throw new MemcacheDecodeError(
    'a stored value has the client flags of an entry, but not its format: another program may have written it',
  )
}

function isHeader(header: unknown, prefix: string): header is Header {
  if (!Array.isArray(header) || header.length !== 4) return false
  const [clientFlags, loadMs, freshUntilMs, tags] = header as unknown[]
  if (!isCount(clientFlags) || !isCount(loadMs) || !isCount(freshUntilMs)) return false
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) return false
  const generations = Object.entries(tags)
  return generations.length <= MAX_TAGS && generations.every(([key, value]) => isTagKey(key, prefix) && isCount(value))
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/**
 * Returns whether a key is one of the kit's tag keys, so that a forged entry cannot make the kit read or create other
 * keys.
 */
function isTagKey(key: string, prefix: string): boolean {
  return key.startsWith(TAG_SPACE) && keyProblem(prefix + key) === undefined
}
