import { LRUCache } from 'lru-cache'
import { decodeRecord, unpackBody } from './stored-record.ts'
import type { StoredPartial, StoredRecord, StoredResponse } from './stored-record.ts'

/** How much is remembered, in bytes: records as they are stored, and their bodies unpacked. */
const MAX_BYTES = 33_554_432
/** Larger records are decoded each time: a few of them would leave no room for others. */
const MAX_RECORD_BYTES = 1_048_576
/** The estimated size of a record besides its bytes. */
const OVERHEAD_BYTES = 1000

interface DecodedRecord {
  readonly bytes: Buffer
  readonly record: StoredRecord
  /** Its body, once it was unpacked. */
  readonly body: Buffer | undefined
}

/**
 * The records that are read often, decoded and unpacked: to parse a record, to check it, and to unpack 10 kB took
 * longer than the rest of a hit. What is stored is compared, byte by byte, so that nothing but what memcached has at
 * this moment is sent. The records are shared by requests, and nothing may write to them.
 */
export class DecodedRecords {
  readonly #maxBytes: number
  readonly #records = new LRUCache<string, DecodedRecord>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ bytes, body }) => OVERHEAD_BYTES + bytes.length + (body?.length ?? 0),
  })

  /** @param maxBytes a record with a body over this was not stored by this cache, and is none. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** What was stored under a key; `undefined` for bytes that are no record of this key. */
  decode(bytes: unknown, key: string): StoredRecord | undefined {
    if (!Buffer.isBuffer(bytes)) return undefined
    const known = this.#records.get(key)
    if (known !== undefined && known.bytes.equals(bytes)) return known.record
    if (bytes.length > MAX_RECORD_BYTES) return this.#decode(bytes, key)
    // A copy: what comes from the connection is a part of a larger piece, which would be kept alive.
    const own = Buffer.from(bytes)
    const record = this.#decode(own, key)
    if (record !== undefined) this.#records.set(key, { bytes: own, record, body: undefined })
    return record
  }

  #decode(bytes: Buffer, key: string): StoredRecord | undefined {
    const record = decodeRecord(bytes, key)
    const hasBody = record?.kind === 'response' || record?.kind === 'partial'
    return hasBody && record.length > this.#maxBytes ? undefined : record
  }

  /** The body of a stored response, which must not be written to; `undefined` if it cannot be unpacked. */
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
