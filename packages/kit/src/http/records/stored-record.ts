import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import type { ContentPart } from '../policy/byte-ranges.ts'
import { asRecord } from './record-shape.ts'
import type { Lifetimes } from '../policy/storage-policy.ts'

/** A response as it is kept. */
export interface StoredResponse {
  readonly kind: 'response'
  /** What it was stored under, in full: a key in memcached may be a hash. */
  readonly key: string
  readonly status: number
  readonly fields: Fields
  /** Names of fields that are set before the cache, and that the handler takes away. */
  readonly removed: readonly string[]
  /** When it came, in milliseconds since 1970. */
  readonly receivedMs: number
  readonly lifetimes: Lifetimes
  /** What the body is kept as. */
  readonly compression: 'gzip' | 'none'
  /** The length of the body as its handler gave it, in bytes. */
  readonly length: number
  /** As it is kept. */
  readonly body: Buffer
}

/**
 * One part of a representation: a 206 as it is kept. It answers requests for ranges within it, and never one for the
 * whole.
 */
export interface StoredPartial extends Omit<StoredResponse, 'kind'> {
  readonly kind: 'partial'
  readonly part: ContentPart
}

/** That the responses to a URL vary, by which request fields, and where its variants lie. */
interface StoredVariants {
  readonly kind: 'variants'
  readonly key: string
  readonly names: readonly string[]
  /**
   * Part of the variants' keys; another one each time that this is made anew, so that what was invalidated is not found
   * again.
   */
  readonly id: string
}

/** That the responses to a URL cannot be stored, so that nobody waits for another's. */
interface HitForPass {
  readonly kind: 'pass'
  readonly key: string
  /** Until when, in milliseconds since 1970. */
  readonly untilMs: number
}

/** What lies under a key of the response cache. */
export type StoredRecord = StoredResponse | StoredPartial | StoredVariants | HitForPass

const HEAD_LENGTH_BYTES = 4
const WORTH_COMPRESSING_BYTES = 1024
const COMPRESSIBLE =
  /^(?:text\/|application\/(?:.+\+)?(?:json|xml|javascript|ecmascript)|image\/svg\+xml|application\/wasm)/i

const compress = promisify(gzip)
const decompress = promisify(gunzip)

/** A record as bytes: the length of a line of JSON, the line, and the body. */
export function encodeRecord(record: StoredRecord): Buffer {
  const { body, ...head } = record as Partial<StoredResponse>
  const line = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(HEAD_LENGTH_BYTES)
  length.writeUInt32BE(line.length)
  return Buffer.concat(body === undefined ? [length, line] : [length, line, body])
}

/** `undefined` for bytes that are no record of this key, whatever has been stored there. */
export function decodeRecord(bytes: unknown, key: string): StoredRecord | undefined {
  if (!Buffer.isBuffer(bytes) || bytes.length < HEAD_LENGTH_BYTES) return undefined
  const end = HEAD_LENGTH_BYTES + bytes.readUInt32BE(0)
  if (end > bytes.length) return undefined
  try {
    const head: unknown = JSON.parse(bytes.toString('utf8', HEAD_LENGTH_BYTES, end))
    return asRecord(head, key, bytes.subarray(end))
  } catch {
    return undefined
  }
}

type Packed = Pick<StoredResponse, 'compression' | 'length' | 'body'>

/** A body as it is kept: compressed where that helps, and its handler has not done so already. */
export async function packBody(fields: Fields, body: Buffer): Promise<Packed> {
  const type = lineOf(fields, 'content-type')
  const isPlain = fields['content-encoding'] === undefined && type !== undefined && COMPRESSIBLE.test(type)
  const { length } = body
  if (!isPlain || length < WORTH_COMPRESSING_BYTES) return { compression: 'none', length, body }
  const packed = await compress(body)
  return packed.length < length ? { compression: 'gzip', length, body: packed } : { compression: 'none', length, body }
}

/** The body as its handler gave it; `undefined` if it cannot be unpacked, or not to the length that is told. */
export async function unpackBody({ compression, length, body }: Packed): Promise<Buffer | undefined> {
  if (compression === 'none') return body
  try {
    const unpacked = await decompress(body, { maxOutputLength: Math.max(1, length) })
    return unpacked.length === length ? unpacked : undefined
  } catch {
    return undefined
  }
}
