import type { Uint64 } from 'memcache-ts-protocol'
import { Operation } from './operation.ts'
import type { WireKey } from '../client-key.ts'

/** How a value is stored, by memcached's names. */
export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend'

/** How storing a value ended. */
export type StoreStatus = 'stored' | 'notStored' | 'exists' | 'notFound'

/** What most stores do without. */
export interface StoreConditions {
  /** Whether the cas unique that it gets is wanted. */
  readonly returnCas?: boolean
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
  readonly invalidate?: boolean | undefined
  readonly vivifyExptime?: number | undefined
}

const NONE: StoreConditions = {}

/** A value on its way to the server. */
export class StoreOperation<Result = unknown> extends Operation {
  readonly kind = 'store'
  readonly wireKey: WireKey
  readonly mode: StoreMode
  readonly bytes: Buffer | string
  readonly clientFlags: number
  readonly exptime: number
  readonly conditions: StoreConditions
  readonly #build: (status: StoreStatus, casUnique: Uint64) => Result
  readonly #resolve: (result: Result) => void

  /** @param build makes the result; the cas unique, zero where it is not told, is only lent for the call. */
  constructor(
    wireKey: WireKey,
    mode: StoreMode,
    bytes: Buffer | string,
    clientFlags: number,
    exptime: number,
    conditions: StoreConditions | undefined,
    key: string,
    build: (status: StoreStatus, casUnique: Uint64) => Result,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ) {
    super(key, true, reject)
    this.wireKey = wireKey
    this.mode = mode
    this.bytes = bytes
    this.clientFlags = clientFlags
    this.exptime = exptime
    this.conditions = conditions ?? NONE
    this.#build = build
    this.#resolve = resolve
  }

  override get sendsValue(): boolean {
    return true
  }

  finish(status: StoreStatus, casUnique: Uint64): void {
    if (this.settle()) this.#resolve(this.#build(status, casUnique))
  }
}
