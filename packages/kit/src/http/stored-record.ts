import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { lineOf } from './fields.ts'
import type { Fields } from './fields.ts'
import type { Lifetimes } from './response-policy.ts'

/** A response as it is kept. */
export interface StoredResponse {
  readonly kind: 'response'
  /** What it was stored under, in full: a key in memcached may be a hash. */
  readonly key: string
  readonly status: number
  readonly fields: Fields
  /** When it came, in milliseconds since 1970. */
  readonly receivedMs: number
  readonly lifetimes: Lifetimes
  /** What the body is kept as. */
  readonly compression: 'gzip' | 'none'
  /** As it is kept. */
  readonly body: Buffer
}

/** That the responses to a URL vary, by which request fields, and where its variants lie. */
interface StoredVariants {
  readonly kind: 'variants'
  readonly key: string
  readonly names: readonly string[]
  /** Part of the variants' keys; another one each time that this is made anew, so that what was invalidated is not found again. */
  readonly id: string
}

/** That the responses to a URL cannot be stored, so that nobody waits for another's. */
interface StoredPass {
  readonly kind: 'pass'
  readonly key: string
  /** Until when, in milliseconds since 1970. */
  readonly untilMs: number
}

/** What lies under a key of the response cache. */
export type StoredRecord = StoredResponse | StoredVariants | StoredPass

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

/** `undefined` for what is no record that lies under this key. */
export function decodeRecord(bytes: unknown, key: string): StoredRecord | undefined {
  if (!Buffer.isBuffer(bytes) || bytes.length < HEAD_LENGTH_BYTES) return undefined
  const end = HEAD_LENGTH_BYTES + bytes.readUInt32BE(0)
  try {
    const head = JSON.parse(bytes.toString('utf8', HEAD_LENGTH_BYTES, end)) as StoredRecord
    if (head.key !== key) return undefined
    return head.kind === 'response' ? { ...head, body: bytes.subarray(end) } : head
  } catch {
    return undefined
  }
}

/** A body as it is kept: compressed where that helps, and its handler has not done so already. */
export async function packBody(fields: Fields, body: Buffer): Promise<Pick<StoredResponse, 'compression' | 'body'>> {
  const type = lineOf(fields, 'content-type')
  const isPlain = fields['content-encoding'] === undefined && type !== undefined && COMPRESSIBLE.test(type)
  if (!isPlain || body.length < WORTH_COMPRESSING_BYTES) return { compression: 'none', body }
  const packed = await compress(body)
  return packed.length < body.length ? { compression: 'gzip', body: packed } : { compression: 'none', body }
}

/** The body as its handler gave it. */
export async function unpackBody({ compression, body }: StoredResponse): Promise<Buffer> {
  return compression === 'gzip' ? decompress(body) : body
}
