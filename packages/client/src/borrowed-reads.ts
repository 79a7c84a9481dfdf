import type { WireKey } from './client-key.ts'

/** A read of many keys by one connection, which for some of them is not their own. */
interface BorrowedRead {
  readonly keys: readonly string[]
  readonly done: Promise<unknown>
  /** The keys as a set, made by the first write that comes meanwhile: where nothing is written, it is never needed. */
  lookup: ReadonlySet<string> | undefined
}

/**
 * The keys that are being read in batches, each by one connection, which for some of the keys is not their own. Such a
 * read does not keep its order with a later write by itself, so that a write on one of the keys has to wait until the
 * read has its response.
 */
export class BorrowedReads {
  readonly #reads = new Set<BorrowedRead>()

  /** Adds the keys of a read until it is done, one way or the other. */
  add(keys: readonly string[], done: Promise<unknown>): void {
    const read: BorrowedRead = { keys, done, lookup: undefined }
    this.#reads.add(read)
    const end = (): void => void this.#reads.delete(read)
    done.then(end, end)
  }

  /** Resolves when the reads of a key are done; `undefined` when there are none. */
  whenDone(key: WireKey): Promise<unknown> | undefined {
    if (this.#reads.size === 0) return undefined
    const text = typeof key === 'string' ? key : key.toString()
    let found: Promise<unknown>[] | undefined
    for (const read of this.#reads) {
      read.lookup ??= new Set(read.keys)
      if (read.lookup.has(text)) (found ??= []).push(read.done)
    }
    return found && Promise.allSettled(found)
  }
}
