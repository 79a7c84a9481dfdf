import type { Uint64 } from 'memcache-ts-protocol'
import { Operation } from './operation.ts'
import type { WireKey } from '../client-key.ts'

/** How a delete ended. */
export type DeleteStatus = 'deleted' | 'exists' | 'notFound'

/** A request to delete an item, mark it stale or empty it. */
export interface DeleteRequest {
  readonly wireKey: WireKey
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
  readonly invalidate?: boolean | undefined
  readonly removeValue?: boolean | undefined
  readonly exptime?: number | undefined
}

/** A delete, or an invalidation. */
export class DeleteOperation extends Operation {
  readonly kind = 'delete'
  readonly request: DeleteRequest
  readonly #resolve: (status: DeleteStatus) => void

  constructor(
    request: DeleteRequest,
    key: string,
    resolve: (status: DeleteStatus) => void,
    reject: (error: unknown) => void,
  ) {
    super(key, true, reject)
    this.request = request
    this.#resolve = resolve
  }

  finish(status: DeleteStatus): void {
    if (this.settle()) this.#resolve(status)
  }
}
