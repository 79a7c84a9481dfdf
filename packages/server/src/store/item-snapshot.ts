import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { hashKey, Uint64 } from 'memcache-ts-protocol'
import type { ServerClock } from '../server-clock.ts'
import { ItemFlag, LRU_LISTS, Segment } from './item-layout.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from './item-store.ts'
import type { ItemStore } from './item-store.ts'

const MAGIC = Buffer.from('memcache-ts items 1\n')
const END_MAGIC = Buffer.from('memcache-ts end\n')
const DIGEST_BYTES = 32
/** After the magic: the last cas unique, the time of a scheduled flush, the hash power, the number of events. */
const STATE_BYTES = 32
/** The header before an item's key and value: see `writeRecord`. */
const RECORD_BYTES = 28
/** After the items: the magic, their number, and the digest of everything before. */
const TRAILER_BYTES = END_MAGIC.length + 8 + DIGEST_BYTES
const BUFFER_BYTES = 4 * 1024 * 1024
const MAX_CLASSES = LRU_LISTS / 4
/** COLD is first: if memory is smaller than before, items that are read later replace earlier items. */
const LISTS = [Segment.cold, Segment.warm, Segment.hot, Segment.temp].flatMap((segment) =>
  Array.from({ length: MAX_CLASSES }, (_, classId) => classId | segment),
)
/** The flags of an item that are kept. */
const KEPT_FLAGS = ItemFlag.fetched | ItemFlag.stale | ItemFlag.tokenSent | ItemFlag.binaryKey | ItemFlag.active
const FLAG_SHIFT = 16

/** The state of a cache apart from its items. */
export interface SnapshotState {
  /** Seconds since 1970 at which a delayed `flush_all` fires; 0 for none. */
  flushAt: number
  /** How many events were sent to watchers. */
  events: number
}

/** The source of saved items. */
export interface SavedStore {
  readonly store: ItemStore
  readonly clock: ServerClock
}

/** The file is not a complete snapshot of this server. */
class SnapshotError extends Error {}

const casUnique = new Uint64()

/**
 * Writes all live items to a file, from the tail of each LRU list to its head, so that reading it makes the same lists.
 * The file gets its name only when it is complete, and only its owner can read it.
 */
export function saveItems(path: string, saved: SavedStore, state: SnapshotState): number {
  const { store } = saved
  const unfinished = `${path}.tmp`
  const descriptor = openSync(unfinished, 'w', 0o600)
  try {
    const writer = new SnapshotWriter(descriptor)
    writer.head(store, state)
    let items = 0
    for (const list of LISTS) {
      for (let item = store.lru.tail(list); item !== 0; item = store.lru.previous(item)) {
        if (store.isDead(item)) continue
        writer.record(saved, item, list)
        items++
      }
    }
    writer.finish(items)
    fsyncSync(descriptor)
    renameSync(unfinished, path)
    return items
  } finally {
    closeSync(descriptor)
  }
}

class SnapshotWriter {
  readonly #descriptor: number
  readonly #digest: Hash = createHash('sha256')
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #at = 0

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  head(store: ItemStore, { flushAt, events }: SnapshotState): void {
    const buffer = this.#buffer
    const at = MAGIC.copy(buffer)
    store.readLastCas(casUnique)
    buffer.writeUInt32LE(casUnique.low, at)
    buffer.writeUInt32LE(casUnique.high, at + 4)
    buffer.writeDoubleLE(flushAt, at + 8)
    buffer.writeDoubleLE(store.index.power, at + 16)
    buffer.writeDoubleLE(events, at + 24)
    this.#at = at + STATE_BYTES
  }

  record({ store, clock }: SavedStore, item: number, list: number): void {
    const keyLength = store.keyLength(item)
    if (BUFFER_BYTES - this.#at < RECORD_BYTES + keyLength) this.#flush()
    const buffer = this.#buffer
    const at = this.#at
    const exptime = store.exptime(item)
    store.readCas(item, casUnique)
    buffer[at] = keyLength
    buffer[at + 1] = list & Segment.temp
    buffer.writeUInt16LE((store.flags(item) & KEPT_FLAGS) >>> FLAG_SHIFT, at + 2)
    buffer.writeUInt32LE(store.clientFlags(item), at + 4)
    buffer.writeUInt32LE(casUnique.low, at + 8)
    buffer.writeUInt32LE(casUnique.high, at + 12)
    buffer.writeUInt32LE(exptime === 0 ? 0 : clock.toUnix(exptime), at + 16)
    buffer.writeUInt32LE(Math.max(0, clock.toUnix(store.lastAccess(item))), at + 20)
    buffer.writeUInt32LE(store.valueLength(item), at + 24)
    const keyStart = store.keyStart(item)
    store.bytes(item).copy(buffer, at + RECORD_BYTES, keyStart, keyStart + keyLength)
    this.#at = at + RECORD_BYTES + keyLength
    if (!store.isChained(item) && store.valueLength(item) <= BUFFER_BYTES - this.#at) {
      const valueStart = store.valueStart(item)
      store.bytes(item).copy(buffer, this.#at, valueStart, valueStart + store.valueLength(item))
      this.#at += store.valueLength(item)
    } else {
      this.#flush()
      for (const slice of store.valueSlices(item)) this.#write(slice)
    }
  }

  finish(items: number): void {
    this.#flush()
    const trailer = Buffer.alloc(TRAILER_BYTES)
    const at = END_MAGIC.copy(trailer)
    trailer.writeDoubleLE(items, at)
    this.#digest.update(trailer.subarray(0, at + 8))
    this.#digest.digest().copy(trailer, at + 8)
    writeWhole(this.#descriptor, trailer)
  }

  #flush(): void {
    this.#write(this.#buffer.subarray(0, this.#at))
    this.#at = 0
  }

  #write(bytes: Buffer): void {
    this.#digest.update(bytes)
    writeWhole(this.#descriptor, bytes)
  }
}

function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written)
}

/**
 * Reads a file of `saveItems` into an empty store. Remove the file before the items are served: a later start must not
 * find items that were deleted since. Items that have expired in the meantime are left out; if memory is smaller than
 * before, the items that were used last stay. Returns `undefined` if there is no file.
 *
 * @throws SnapshotError if the file is incomplete or of another program; the store is then empty.
 */
export function restoreItems(path: string, store: ItemStore, clock: ServerClock): SnapshotState | undefined {
  const descriptor = openIfThere(path)
  if (descriptor === undefined) return undefined
  try {
    return new SnapshotReader(descriptor).read(store, clock)
  } catch (error) {
    store.removeAll()
    throw error
  } finally {
    closeSync(descriptor)
  }
}

/** Returns whether a snapshot may replace a file: it is a snapshot, or does not exist. */
export function isSnapshotOrNothing(path: string): boolean {
  const descriptor = openIfThere(path)
  if (descriptor === undefined) return true
  try {
    const head = Buffer.alloc(MAGIC.length)
    return fstatSync(descriptor).isFile() && readSync(descriptor, head) === head.length && head.equals(MAGIC)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Returns whether memcached has left an empty `.meta` file beside its memory file, so that it cannot read the memory.
 * Then neither server starts, so that an operator decides about the files.
 */
export function isCutOffMetadata(path: string): boolean {
  const stats = statSync(`${path}.meta`, { throwIfNoEntry: false })
  return stats?.isFile() === true && stats.size === 0
}

function openIfThere(path: string): number | undefined {
  try {
    // Does not wait for a pipe, which may never have a writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

class SnapshotReader {
  readonly #descriptor: number
  readonly #digest: Hash = createHash('sha256')
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  /** Bytes of the file before the trailer that were not read yet. */
  #left: number
  #at = 0
  #end = 0

  constructor(descriptor: number) {
    this.#descriptor = descriptor
    const stats = fstatSync(descriptor)
    this.#left = stats.size - TRAILER_BYTES
    if (!stats.isFile() || this.#left < MAGIC.length + STATE_BYTES)
      throw new SnapshotError('it is not a file of saved items')
  }

  read(store: ItemStore, clock: ServerClock): SnapshotState {
    this.#need(MAGIC.length + STATE_BYTES)
    const buffer = this.#buffer
    if (!buffer.subarray(0, MAGIC.length).equals(MAGIC)) throw new SnapshotError('it is not a file of saved items')
    const items = this.#readTrailer()
    const at = MAGIC.length
    const state = { flushAt: buffer.readDoubleLE(at + 8), events: buffer.readDoubleLE(at + 24) }
    casUnique.set(buffer.readUInt32LE(at + 4), buffer.readUInt32LE(at))
    store.setLastCas(casUnique)
    store.index.startAt(buffer.readDoubleLE(at + 16))
    this.#at += MAGIC.length + STATE_BYTES
    let read = 0
    for (; this.#at < this.#end || this.#left > 0; read++) this.#readRecord(store, clock)
    if (read !== items) throw new SnapshotError(`it has ${read} items instead of ${items}`)
    this.#checkDigest()
    return state
  }

  /** Reads the number of items from the end of the file; a truncated file has another end. */
  #readTrailer(): number {
    const trailer = Buffer.alloc(TRAILER_BYTES)
    const { size } = fstatSync(this.#descriptor)
    readSync(this.#descriptor, trailer, 0, TRAILER_BYTES, size - TRAILER_BYTES)
    if (!trailer.subarray(0, END_MAGIC.length).equals(END_MAGIC)) throw new SnapshotError('it was cut off')
    return trailer.readDoubleLE(END_MAGIC.length)
  }

  #checkDigest(): void {
    const trailer = Buffer.alloc(TRAILER_BYTES)
    readSync(this.#descriptor, trailer)
    this.#digest.update(trailer.subarray(0, END_MAGIC.length + 8))
    if (!this.#digest.digest().equals(trailer.subarray(END_MAGIC.length + 8))) throw new SnapshotError('it was changed')
  }

  #readRecord(store: ItemStore, clock: ServerClock): void {
    this.#need(RECORD_BYTES)
    this.#need(RECORD_BYTES + this.#buffer[this.#at]!)
    const buffer = this.#buffer
    const at = this.#at
    const keyLength = buffer[at]!
    const unixExptime = buffer.readUInt32LE(at + 16)
    const exptime = unixExptime === 0 ? 0 : clock.fromUnix(unixExptime)
    const valueLength = buffer.readUInt32LE(at + 24)
    const keyStart = at + RECORD_BYTES
    const isExpired = exptime !== 0 && exptime <= store.now
    const clientFlags = buffer.readUInt32LE(at + 4)
    const keyHash = hashKey(buffer, keyStart, keyLength)
    const newItem = { keyBuffer: buffer, keyStart, keyLength, keyHash, clientFlags }
    const item = isExpired ? TOO_LARGE : store.reserve(newItem, exptime, valueLength)
    casUnique.set(buffer.readUInt32LE(at + 12), buffer.readUInt32LE(at + 8))
    const flags = (buffer.readUInt16LE(at + 2) << FLAG_SHIFT) & KEPT_FLAGS
    const segment = buffer[at + 1]! & Segment.temp
    const lastAccess = clock.fromUnix(buffer.readUInt32LE(at + 20))
    this.#at = keyStart + keyLength
    const isWritten = this.#readValue(store, item, valueLength)
    if (item === TOO_LARGE || item === OUT_OF_MEMORY) return
    if (isWritten) store.linkRestored(item, { cas: casUnique, segment, flags, lastAccess })
    else store.release(item)
  }

  /** Reads a value into its item, or skips it. */
  #readValue(store: ItemStore, item: number, valueLength: number): boolean {
    let isWritten = item > 0
    for (let offset = 0; offset < valueLength;) {
      if (this.#at === this.#end) this.#need(1)
      const take = Math.min(valueLength - offset, this.#end - this.#at)
      if (isWritten) isWritten = store.write(item, offset, this.#buffer, this.#at, this.#at + take)
      this.#at += take
      offset += take
    }
    return isWritten
  }

  /** Ensures that the buffer has this many bytes from `#at` on. */
  #need(bytes: number): void {
    if (this.#end - this.#at >= bytes) return
    this.#buffer.copyWithin(0, this.#at, this.#end)
    this.#end -= this.#at
    this.#at = 0
    while (this.#end < bytes) {
      const most = Math.min(BUFFER_BYTES - this.#end, this.#left)
      const read = most === 0 ? 0 : readSync(this.#descriptor, this.#buffer, this.#end, most, null)
      if (read === 0) throw new SnapshotError('it ends within an item')
      this.#digest.update(this.#buffer.subarray(this.#end, this.#end + read))
      this.#end += read
      this.#left -= read
    }
  }
}
