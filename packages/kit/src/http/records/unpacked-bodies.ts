import { LRUCache } from 'lru-cache'
import { unpackBody } from './stored-record.ts'
import type { StoredPartial, StoredResponse } from './stored-record.ts'

/** How much is remembered, packed and unpacked, in bytes. */
const MAX_BYTES = 16_777_216
/** Larger bodies are unpacked each time: a few of them would leave no room for others. */
const MAX_BODY_BYTES = 1_048_576

interface UnpackedBody {
  readonly packed: Buffer
  readonly body: Buffer
}

/**
 * The bodies of compressed responses that are sent often: to unpack 10 kB takes longer than everything else of a hit.
 * What is stored is compared, byte by byte, so that nothing but what memcached has at this moment is sent.
 */
export class UnpackedBodies {
  readonly #bodies = new LRUCache<string, UnpackedBody>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ packed, body }) => packed.length + body.length,
  })

  /** The body of a stored response, which must not be written to; `undefined` if it cannot be unpacked. */
  async unpack(name: string, stored: StoredResponse | StoredPartial): Promise<Buffer | undefined> {
    if (stored.compression === 'none') return stored.body
    const known = this.#bodies.get(name)
    if (known !== undefined && known.body.length === stored.length && known.packed.equals(stored.body))
      return known.body
    const body = await unpackBody(stored)
    // The packed one is copied: it is a part of what came from the connection.
    if (body !== undefined && body.length <= MAX_BODY_BYTES)
      this.#bodies.set(name, { packed: Buffer.from(stored.body), body })
    return body
  }
}
