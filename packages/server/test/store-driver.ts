import { hashKey, Uint64 } from 'memcache-ts-protocol'
import { ItemStore, OUT_OF_MEMORY, TOO_LARGE } from '../src/store/item-store.ts'
import { DEFAULT_STORE_SETTINGS } from '../src/store/store-settings.ts'
import type { StoreSettings } from '../src/store/store-settings.ts'

export const MIB = 1024 * 1024

/** The store by whole keys and values, as tests speak of it. */
export class StoreDriver {
  readonly store: ItemStore
  readonly #cas = new Uint64()

  constructor(memoryLimitBytes: number, settings: Partial<StoreSettings> = {}) {
    this.store = new ItemStore({ ...DEFAULT_STORE_SETTINGS, ...settings, memoryLimitBytes })
  }

  reserve(key: string, length: number, clientFlags = 0, exptime = 0): number {
    const keyBuffer = Buffer.from(key)
    const keyLength = keyBuffer.length
    const newItem = { keyBuffer, keyStart: 0, keyLength, keyHash: hashKey(keyBuffer, 0, keyLength), clientFlags }
    return this.store.reserve(newItem, exptime, length)
  }

  /** Writes the value in pieces, as it comes from a network. */
  set(key: string, value: Buffer, exptime = 0, pieceBytes = 10_000): boolean {
    const item = this.reserve(key, value.length, 0, exptime)
    if (item === OUT_OF_MEMORY || item === TOO_LARGE) return false
    for (let at = 0; at < value.length; at += pieceBytes) {
      if (!this.store.write(item, at, value, at, Math.min(value.length, at + pieceBytes))) {
        this.store.release(item)
        return false
      }
    }
    this.store.link(item, this.store.nextCas(this.#cas), this.find(key))
    return true
  }

  find(key: string): number {
    const keyBuffer = Buffer.from(`..${key}`)
    const keyLength = keyBuffer.length - 2
    return this.store.find({ keyBuffer, keyStart: 2, keyLength, keyHash: hashKey(keyBuffer, 2, keyLength) })
  }

  get(key: string): Buffer | undefined {
    const item = this.find(key)
    return item === 0 ? undefined : Buffer.concat(this.store.valueSlices(item))
  }

  /** Fetches so often that the item is active. */
  use(key: string, times = 2): void {
    for (let time = 0; time < times; time++) this.store.fetched(this.find(key))
  }

  delete(key: string): boolean {
    const item = this.find(key)
    if (item !== 0) this.store.unlink(item)
    return item !== 0
  }

  /** Chunks that are given out must be those that items hold: nothing leaks, nothing is freed twice. */
  usedChunks(): number {
    return this.store.slabs.classes.reduce((sum, slabClass) => sum + slabClass.usedChunks, 0)
  }

  /** All chunks of all pages that belong to a class: each must be used or free. */
  lostChunks(): number {
    return this.store.slabs.classes.reduce(
      (sum, { pages, chunksPerPage, usedChunks, freeChunks, freshChunks }) =>
        sum + pages.length * chunksPerPage - usedChunks - freeChunks - freshChunks,
      0,
    )
  }
}

/** A value that shows its key in every part. */
export function valueOf(key: string, length: number): Buffer {
  return Buffer.alloc(length, `${key}#${length};`)
}
