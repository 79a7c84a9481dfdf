import type { Uint64 } from 'memcache-ts-protocol'
import { Operation, OperationKind } from './operation.ts'
import type { WireKey } from './operation.ts'

/** How a value is stored, by memcached's names. */
export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend'

/** How storing a value ended. */
export type StoreStatus = 'stored' | 'notStored' | 'exists' | 'notFound'

/** What is to be stored, and on what condition. */
export interface StoreRequest {
  readonly wireKey: WireKey
  readonly mode: StoreMode
  readonly bytes: Buffer
  readonly clientFlags: number
  readonly exptime: number
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
  readonly invalidate?: boolean | undefined
  readonly vivifyExptime?: number | undefined
}

/** A value on its way to the server. */
export class StoreOperation extends Operation {
  readonly kind = OperationKind.store
  readonly request: StoreRequest
  readonly #resolve: (status: StoreStatus, casUnique: Uint64) => void

  constructor(
    request: StoreRequest,
    key: string,
    resolve: (status: StoreStatus, casUnique: Uint64) => void,
    reject: (error: unknown) => void,
  ) {
    super({ key, writes: true, sendsValue: true }, reject)
    this.request = request
    this.#resolve = resolve
  }

  /** @param casUnique the stored item's, zero where it is not told; only lent for the call. */
  finish(status: StoreStatus, casUnique: Uint64): void {
    if (this.settle()) this.#resolve(status, casUnique)
  }
}
