import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import type { ContentPart } from '../policy/byte-ranges.ts'
import { asRecord } from './record-shape.ts'
import type { Lifetimes } from '../policy/storage-policy.ts'

/** The head of a response as it is stored. */
interface StoredHead {
  readonly status: number
  /** The handler's own reason phrase; `undefined` for the usual one. */
  readonly reason?: string | undefined
  readonly fields: Fields
  /** The parts of fields that the handler adds to values which are set before the cache. */
  readonly appended?: Fields | undefined
  /** Names of fields that are set before the cache and that the handler removes. */
  readonly removed: readonly string[]
  /** The time when it was received, in milliseconds since 1970. */
  readonly receivedMs: number
  readonly lifetimes: Lifetimes
}

/** A handler's response that may be stored. */
export interface FreshResponse extends StoredHead {
  /** The request fields that it depends on. */
  readonly names: readonly string[]
  /** The part of the representation that the body contains; `undefined` for the whole. */
  readonly part?: ContentPart | undefined
  readonly body: Buffer
}

/** A stored response. */
export interface StoredResponse extends StoredHead {
  readonly kind: 'response'
  /** Its full key, since a key in memcached may be a hash. */
  readonly key: string
  /** How the stored body is compressed. */
  readonly compression: 'gzip' | 'none'
  /** The length of the body as its handler wrote it, in bytes. */
  readonly length: number
  /** The stored body. */
  readonly body: Buffer
}

/**
 * A stored 206, one part of a representation. It serves requests for ranges within it, and never a request for the
 * whole.
 */
export interface StoredPartial extends Omit<StoredResponse, 'kind'> {
  readonly kind: 'partial'
  readonly part: ContentPart
}

/** States that the responses of a URL vary, by which request fields, and under which keys the variants are stored. */
interface StoredVariants {
  readonly kind: 'variants'
  readonly key: string
  readonly names: readonly string[]
  /** Part of the variants' keys; random for each new list, so that invalidated variants are not found again. */
  readonly id: string
}

/** States that the responses of a URL cannot be stored, so that requests do not wait for each other. */
interface HitForPass {
  readonly kind: 'pass'
  readonly key: string
  /** The time when this ends, in milliseconds since 1970. */
  readonly untilMs: number
}

/** The values of the response cache's keys. */
export type StoredRecord = StoredResponse | StoredPartial | StoredVariants | HitForPass

const HEAD_LENGTH_BYTES = 4
const WORTH_COMPRESSING_BYTES = 1024
const COMPRESSIBLE =
  /^(?:text\/|application\/(?:.+\+)?(?:json|xml|javascript|ecmascript)|image\/svg\+xml|application\/wasm)/i

const compress = promisify(gzip)
const decompress = promisify(gunzip)

/** Encodes a record: the length of a line of JSON, the line, and the body. */
export function encodeRecord(record: StoredRecord): Buffer {
  const { body, ...head } = record as Partial<StoredResponse>
  const line = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(HEAD_LENGTH_BYTES)
  length.writeUInt32BE(line.length)
  return Buffer.concat(body === undefined ? [length, line] : [length, line, body])
}

/** Decodes a record; `undefined` if the bytes are not a record of this key. */
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

/** Returns a body for storage: compressed if that helps and the handler has not done so. */
export async function packBody(fields: Fields, body: Buffer): Promise<Packed> {
  const type = lineOf(fields, 'content-type')
  const isPlain = fields['content-encoding'] === undefined && type !== undefined && COMPRESSIBLE.test(type)
  const { length } = body
  if (!isPlain || length < WORTH_COMPRESSING_BYTES) return { compression: 'none', length, body }
  const packed = await compress(body)
  return packed.length < length ? { compression: 'gzip', length, body: packed } : { compression: 'none', length, body }
}

/** Returns the body as its handler wrote it; `undefined` if it cannot be decompressed, or not to its stated length. */
export async function unpackBody({ compression, length, body }: Packed): Promise<Buffer | undefined> {
  if (compression === 'none') return body
  try {
    const unpacked = await decompress(body, { maxOutputLength: Math.max(1, length) })
    return unpacked.length === length ? unpacked : undefined
  } catch {
    return undefined
  }
}
