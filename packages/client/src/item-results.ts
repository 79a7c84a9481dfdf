import type { ItemResponse } from './operations/item-response.ts'
import type { StoreStatus } from './operations/store-operation.ts'

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
