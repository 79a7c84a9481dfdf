import { randomBytes } from 'node:crypto'
import { ClientFlags, MemcacheDecodeError } from 'memcache-ts-protocol'
import { readerOf } from './value-codec.ts'
import type { EncodedValue, ValueCodec, ValueReader } from './value-codec.ts'

/** What stands for a value that lies in chunks: `[id, chunks, bytes, client flags]` as JSON. */
type Manifest = readonly [id: string, chunks: number, bytes: number, clientFlags: number]

const ID_BYTES = 15

/**
 * The client's values: as the codec makes them, and those over the item limit in chunks under keys of their own. A write's
 * chunks carry its random id, so that those of two writes never mix; when one has been evicted, the value is a miss.
 */
export class ChunkedValues implements ValueReader {
  readonly #codec: ValueCodec
  readonly #reader: ValueReader
  readonly #chunkBytes: number
  /** Fetches chunks by their keys; set once there are commands to do it with. */
  fetch: (keys: readonly string[]) => Promise<ReadonlyMap<string, Buffer>> = () => Promise.resolve(new Map())

  /** @param chunkBytes what fits an item; `Infinity` never makes chunks, but reads them. */
  constructor(codec: ValueCodec, chunkBytes: number) {
    this.#codec = codec
    this.#reader = readerOf(codec)
    this.#chunkBytes = chunkBytes
  }

  /** Whether values over the item limit are stored in chunks, so that a key's lifetime may have to be set for several items. */
  get makesChunks(): boolean {
    return this.#chunkBytes < Infinity
  }

  encode(value: unknown): EncodedValue {
    return this.#codec.encode(value)
  }

  /** The value, or for one in chunks its promise, which is of `undefined` when chunks are missing. */
  read(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown {
    if (clientFlags === ClientFlags.chunks) return this.#gather(buffer.toString('latin1', start, end))
    return this.#reader.read(buffer, start, end, clientFlags, owned)
  }

  isLarge(value: Buffer | string): boolean {
    const { length } = value
    if (length * 3 <= this.#chunkBytes) return false
    return (typeof value === 'string' ? Buffer.byteLength(value) : length) > this.#chunkBytes
  }

  /** Stores a value's chunks; resolves to what is to be stored under its key once they are there. */
  async storeChunks(
    encoded: EncodedValue,
    store: (key: string, chunk: Buffer) => Promise<void>,
  ): Promise<EncodedValue> {
    const bytes = typeof encoded.bytes === 'string' ? Buffer.from(encoded.bytes) : encoded.bytes
    const id = randomBytes(ID_BYTES).toString('base64url')
    const keys = chunkKeys(id, Math.ceil(bytes.length / this.#chunkBytes))
    await Promise.all(
      keys.map((key, index) => {
        const start = index * this.#chunkBytes
        return store(key, bytes.subarray(start, start + this.#chunkBytes))
      }),
    )
    const manifest: Manifest = [id, keys.length, bytes.length, encoded.clientFlags]
    return { bytes: Buffer.from(JSON.stringify(manifest)), clientFlags: ClientFlags.chunks }
  }

  async #gather(text: string): Promise<unknown> {
    const [id, count, length, clientFlags] = parseManifest(text)
    const keys = chunkKeys(id, count)
    const found = await this.fetch(keys)
    const chunks = keys.flatMap((key) => found.get(key) ?? [])
    const bytes = Buffer.concat(chunks)
    if (chunks.length !== count || bytes.length !== length) return undefined
    return this.#reader.read(bytes, 0, bytes.length, clientFlags, true)
  }
}

/** The keys of the chunks that a list names. @throws MemcacheDecodeError for what is no such list. */
export function chunkKeysOf(manifest: Buffer): string[] {
  const [id, count] = parseManifest(manifest.toString('latin1'))
  return chunkKeys(id, count)
}

function chunkKeys(id: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `chunk:${id}:${index}`)
}

function parseManifest(text: string): Manifest {
  try {
    const manifest = JSON.parse(text) as Manifest
    const [id, ...numbers] = manifest
    if (manifest.length === 4 && typeof id === 'string' && numbers.every((number) => Number.isSafeInteger(number))) {
      return manifest
    }
  } catch {
    // Said below.
  }
  throw new MemcacheDecodeError('a stored value is not the list of chunks that its client flags say')
}
