import type { WireKey } from '../client-key.ts'

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
