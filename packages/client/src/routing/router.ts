import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { md5 } from './md5.ts'

/** Distributes keys over servers. */
export interface Router {
  /** Returns the index of a key's server; each `attempt` above 0 gives another server, for keys whose server is away. */
  serverOf(key: WireKey, attempt: number): number
}

/** Routes by the key without its prefix, like libmemcached by default (see `hash_with_namespace`). */
export class WithoutPrefix implements Router {
  readonly #router: Router
  readonly #length: number
  readonly #bytes: number

  /** @param prefix the beginning of every key. */
  constructor(router: Router, prefix: string) {
    this.#router = router
    this.#length = prefix.length
    this.#bytes = Buffer.byteLength(prefix)
  }

  serverOf(key: WireKey, attempt: number): number {
    return this.#router.serverOf(typeof key === 'string' ? key.slice(this.#length) : key.subarray(this.#bytes), attempt)
  }
}

/**
 * The key's hash modulo the number of servers, like libmemcached's default (`one_at_a_time`). Nearly every key moves
 * when a server is added. Weights are ignored.
 */
export class Modula implements Router {
  readonly #servers: number

  constructor(servers: readonly ServerAddress[]) {
    this.#servers = servers.length
  }

  serverOf(key: WireKey, attempt: number): number {
    return (oneAtATime(key) + attempt) % this.#servers
  }
}

/** Returns Bob Jenkins's one-at-a-time hash of a key's bytes, unsigned (burtleburtle.net/bob/hash/doobs.html). */
function oneAtATime(key: WireKey): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  let hash = 0
  for (const byte of bytes) {
    // libmemcached reads signed characters.
    hash = (hash + ((byte << 24) >> 24)) | 0
    hash = (hash + (hash << 10)) | 0
    hash ^= hash >>> 6
  }
  hash = (hash + (hash << 3)) | 0
  hash ^= hash >>> 11
  hash = (hash + (hash << 15)) | 0
  return hash >>> 0
}

/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998), weighted by -w / ln h: the server with the best score for the key
 * is chosen. If a server is removed, only its keys move.
 */
export class Rendezvous implements Router {
  readonly #seeds: readonly number[]
  readonly #weights: readonly number[]

  constructor(servers: readonly ServerAddress[]) {
    this.#seeds = servers.map(({ name }) => md5(name)[0]!)
    this.#weights = servers.map(({ weight }) => weight)
  }

  serverOf(key: WireKey, attempt: number): number {
    const hash = md5(key)[0]!
    const scores = this.#seeds.map((seed, index) => {
      const share = (mix(seed ^ hash) + 0.5) / 2 ** 32
      return -this.#weights[index]! / Math.log(share)
    })
    if (attempt === 0) return scores.indexOf(Math.max(...scores))
    const order = scores.map((score, index) => ({ score, index })).sort((a, b) => b.score - a.score)
    return order[attempt]!.index
  }
}

/** Spreads 32 bits over 32 bits (MurmurHash3's finalizer). */
function mix(bits: number): number {
  let mixed = bits
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

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
