import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { md5 } from './md5.ts'
import type { Router } from './router.ts'

const MULTIPLIER = 2_862_933_555_777_941_757n
const MASK = 2n ** 64n - 1n

/**
 * Jump consistent hashing (Lamping and Veach, 2014): an even distribution without a table, for lists that grow or
 * shrink only at their end. A server of weight 2 has two places in the list.
 */
export class Jump implements Router {
  readonly #places: readonly number[]
  readonly #servers: number

  constructor(servers: readonly ServerAddress[]) {
    this.#places = servers.flatMap(({ weight }, index) => Array.from({ length: weight }, () => index))
    this.#servers = servers.length
  }

  serverOf(key: WireKey, attempt: number): number {
    const digest = md5(key)
    const hash = (BigInt(digest[1]! >>> 0) << 32n) | BigInt(digest[0]! >>> 0)
    return (this.#places[jump(hash, this.#places.length)]! + attempt) % this.#servers
  }
}

function jump(hash: bigint, buckets: number): number {
  let key = hash
  let bucket = -1
  let next = 0
  while (next < buckets) {
    bucket = next
    key = (key * MULTIPLIER + 1n) & MASK
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(key >> 33n) + 1)))
  }
  return bucket
}
