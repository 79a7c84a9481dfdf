import { LRUCache } from 'lru-cache'
import { PASS_SECONDS } from '../calls-under-way.ts'
import type { ResponseClock } from '../policy/freshness.ts'
import { decodeRecord, unpackBody } from './stored-record.ts'
import type { StoredPartial, StoredRecord, StoredResponse } from './stored-record.ts'

/** The maximum size of the remembered records, in bytes: as they are stored, and their decompressed bodies. */
const MAX_BYTES = 33_554_432
/** Larger records are decoded each time, since a few of them would fill the memory. */
const MAX_RECORD_BYTES = 1_048_576
/** The estimated overhead of a record, in bytes. */
const OVERHEAD_BYTES = 1000

interface DecodedRecord {
  readonly bytes: Buffer
  readonly record: StoredRecord
  /** The decompressed body, once it was needed. */
  readonly body: Buffer | undefined
}

/**
 * Remembers records that are read often, decoded and decompressed: parsing, checking and decompressing a record of 10
 * kB took longer than the rest of a hit. The stored bytes are compared each time, so that only the currently stored
 * response is sent. The records are shared by requests and must not be changed.
 */
export class DecodedRecords {
  readonly #maxBytes: number
  readonly #clock: ResponseClock
  readonly #records = new LRUCache<string, DecodedRecord>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ bytes, body }) => OVERHEAD_BYTES + bytes.length + (body?.length ?? 0),
  })

  /**
   * @param maxBytes a record with a larger body was not stored by this cache, and is ignored.
   * @param clock adjusted to the times of the records; a record of an impossible time is ignored.
   */
  constructor(maxBytes: number, clock: ResponseClock) {
    this.#maxBytes = maxBytes
    this.#clock = clock
  }

  /** Returns the record that was stored under a key; `undefined` if the bytes are not a record of this key. */
  decode(bytes: unknown, key: string): StoredRecord | undefined {
    if (!Buffer.isBuffer(bytes)) return undefined
    const known = this.#records.get(key)
    if (known !== undefined && known.bytes.equals(bytes))
      return this.#isOfItsTime(known.record) ? known.record : undefined
    if (bytes.length > MAX_RECORD_BYTES) return this.#decode(bytes, key)
    // A copy: bytes from the connection are part of a larger buffer, which would be kept in memory.
    const own = Buffer.from(bytes)
    const record = this.#decode(own, key)
    if (record !== undefined) this.#records.set(key, { bytes: own, record, body: undefined })
    return record
  }

  #decode(bytes: Buffer, key: string): StoredRecord | undefined {
    const record = decodeRecord(bytes, key)
    const hasBody = record?.kind === 'response' || record?.kind === 'partial'
    if (record === undefined || (hasBody && record.length > this.#maxBytes)) return undefined
    return this.#isOfItsTime(record) ? record : undefined
  }

  #isOfItsTime(record: StoredRecord): boolean {
    if (record.kind === 'variants') return true
    return this.#clock.reach(record.kind === 'pass' ? record.untilMs - PASS_SECONDS * 1000 : record.receivedMs)
  }

  /** Returns the body of a stored response, which must not be changed; `undefined` if it cannot be decompressed. */
  unpack(stored: StoredResponse | StoredPartial): Buffer | undefined | Promise<Buffer | undefined> {
    if (stored.compression === 'none') return stored.body
    const known = this.#records.get(stored.key)
    if (known?.record === stored && known.body !== undefined) return known.body
    return this.#unpackOnce(stored)
  }

  async #unpackOnce(stored: StoredResponse | StoredPartial): Promise<Buffer | undefined> {
    const body = await unpackBody(stored)
    const known = this.#records.get(stored.key)
    if (body !== undefined && body.length <= MAX_RECORD_BYTES && known?.record === stored)
      this.#records.set(stored.key, { ...known, body })
    return body
  }
}
