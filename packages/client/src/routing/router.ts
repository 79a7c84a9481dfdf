import type { WireKey } from '../client-key.ts'

/** Spreads keys over servers. */
export interface Router {
  /** Returns the server of a key, as an index; with `attempt` above 0 another one each, for keys whose server is away. */
  serverOf(key: WireKey, attempt: number): number
}

/** Chooses by the key without its prefix, as libmemcached does unless told otherwise (`hash_with_namespace`). */
export class WithoutPrefix implements Router {
  readonly #router: Router
  readonly #length: number
  readonly #bytes: number

  /** @param prefix what every key begins with. */
  constructor(router: Router, prefix: string) {
    this.#router = router
    this.#length = prefix.length
    this.#bytes = Buffer.byteLength(prefix)
  }

  serverOf(key: WireKey, attempt: number): number {
    return this.#router.serverOf(typeof key === 'string' ? key.slice(this.#length) : key.subarray(this.#bytes), attempt)
  }
}
