import type { MemcacheError } from 'memcache-ts-protocol'
import type { ItemResponse } from './operations/item-response.ts'
import type { StoreStatus } from './operations/write-operations.ts'
import { asMemcacheError } from './errors.ts'
import type { StepOptions } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { nameOrKindOf } from './client-key.ts'

/** An item with its cas unique, for `cas`. */
export interface ItemWithCas<Value> {
  readonly value: Value
  readonly casUnique: bigint
  readonly clientFlags: number
}

export function isStored(status: StoreStatus): boolean {
  return status === 'stored'
}

export function casStatus(status: StoreStatus): 'stored' | 'exists' | 'notFound' {
  return status === 'notStored' ? 'exists' : status
}

export function withCas<Value>(item: ItemResponse, value: unknown): ItemWithCas<Value> | undefined {
  if (!item.isFound) return undefined
  return { value: value as Value, casUnique: item.casUnique.toBigInt(), clientFlags: item.clientFlags }
}

export function itemWithCas<Value>(value: unknown, clientFlags: number, casUnique: bigint): ItemWithCas<Value> {
  return { value: value as Value, casUnique, clientFlags }
}

export function hitValue<Value>(item: ItemResponse, value: unknown): Value | undefined {
  return item.isFound ? (value as Value) : undefined
}

/** The number of calls of a batch that begin between two looks at the clock. */
const SLICE = 64

/** The results of a call on many keys, by the keys as they were given. A failure of one key does not affect the others. */
export class MultiResult<Given extends ClientKey, Result> extends Map<Given, Result> {
  // Usually nothing fails, and the maps are not created.
  #errors: Map<string, MemcacheError> | undefined
  #keyErrors: Map<Given, MemcacheError> | undefined

  /** The errors: by the server's name if a server failed, otherwise by the key's name. */
  get errors(): Map<string, MemcacheError> {
    return (this.#errors ??= new Map())
  }

  /** The errors by key: these keys are missing from the results although they may be stored. */
  get keyErrors(): Map<Given, MemcacheError> {
    return (this.#keyErrors ??= new Map())
  }

  /**
   * Returns the results of a call for each of many keys. Rejects if all fail, and if the call's signal is aborted.
   *
   * @param begin makes the call for one of the items, whose first part is the key.
   */
  static async ofEach<Given extends ClientKey, Item extends readonly [Given, unknown], Result>(
    items: readonly Item[],
    options: StepOptions,
    begin: (item: Item, options: CallOptions) => Promise<Result>,
  ): Promise<MultiResult<Given, Result>> {
    const results = new MultiResult<Given, Result>()
    const settle = async (item: Item): Promise<void> => {
      try {
        results.set(item[0], await begin(item, options))
      } catch (error) {
        if (options.signal?.aborted === true) throw error
        results.fail(item[0], asMemcacheError(error))
      }
    }
    // All calls begin now, so that later calls on their keys follow them. The time that this takes is not the servers'.
    let at = performance.now()
    const calls = items.map((item, index) => {
      if (index % SLICE === SLICE - 1) {
        const now = performance.now()
        options.deadline!.at += now - at
        at = now
      }
      return settle(item)
    })
    await Promise.all(calls)
    if (results.size === 0) for (const error of results.errors.values()) throw error
    return results
  }

  /** Whether a key has failed. */
  get hasErrors(): boolean {
    return this.#keyErrors !== undefined && this.#keyErrors.size > 0
  }

  /** Notes that a key has failed. */
  fail(given: Given, error: MemcacheError): void {
    this.keyErrors.set(given, error)
    const { server } = error
    // One error is enough for a server that cannot be reached.
    const isOfServer = server !== undefined && error.retryable
    this.errors.set(isOfServer ? server : nameOrKindOf(given), error)
  }
}

/** The hits of a `getMulti`. */
export type MultiGetResult<Given extends ClientKey, Value> = MultiResult<Given, Value>
