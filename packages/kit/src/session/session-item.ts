import type { MemcachedClient } from 'memcache-ts-client'
import { ClientFlags, MemcacheDecodeError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'

/** The place of a session in memcached. */
export interface Place {
  readonly key: string
  /** The key that decides about the server: a new generation changes the key of a session, and not its server. */
  readonly groupKey: string | undefined
}

/** The item in a place. */
export interface FetchedItem {
  readonly value: unknown
  readonly casUnique: bigint
  /** The seconds that it still lives; `Infinity` where the server does not tell. */
  readonly ttlSeconds: number
  /** Whether the read has set its lifetime. */
  readonly touched: boolean
}

/** The result of reading an item whose value cannot be decoded. */
export const UNDECODABLE = 'undecodable'

/**
 * Reads the item in a place; `undefined` when there is none.
 *
 * @param touchTtl its lifetime from now on; without meta commands, and for a value in chunks, it is not set.
 */
export async function fetchItem(
  client: MemcachedClient,
  { key, groupKey }: Place,
  touchTtl?: Ttl,
): Promise<FetchedItem | typeof UNDECODABLE | undefined> {
  try {
    const found = await client.meta.get(key, { touchTtl, groupKey })
    if (found === undefined) return undefined
    const { value, casUnique, ttlSeconds, clientFlags } = found
    // Of a value in chunks only the list of them was touched.
    return { value, casUnique, ttlSeconds, touched: touchTtl !== undefined && clientFlags !== ClientFlags.chunks }
  } catch (error) {
    if (error instanceof MemcacheDecodeError) return UNDECODABLE
    if (!(error instanceof MemcacheUnsupportedError)) throw error
  }
  // Without meta commands the lifetime is neither told nor set by reading.
  try {
    const found = await client.gets(key, { groupKey })
    return found && { value: found.value, casUnique: found.casUnique, ttlSeconds: Infinity, touched: false }
  } catch (error) {
    if (error instanceof MemcacheDecodeError) return UNDECODABLE
    throw error
  }
}

/** The cas unique of an item that is there and cannot be decoded: some of its chunks were evicted. */
export async function casOfUndecodable(client: MemcachedClient, { key, groupKey }: Place): Promise<bigint | undefined> {
  try {
    return (await client.meta.get(key, { value: false, groupKey }))?.casUnique
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError)) throw error
    await client.delete(key, { groupKey })
    return undefined
  }
}
