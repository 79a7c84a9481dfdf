import { CLIENT_FLAGS, INFO, itemBytes, LRU_LISTS, LRU_NEXT, LRU_PREVIOUS, VALUE_LENGTH } from './item-layout.ts'
import { listOf, withList } from './item-layout.ts'
import { wordOffset } from './page-memory.ts'
import type { PageMemory } from './page-memory.ts'

/**
 * The LRU lists, four for each class (`Segment`), linked through the items themselves, with the newest at the head. An
 * item's list is in its `INFO` word.
 *
 * Each list has one cursor, for a walk from its tail to its head in many steps. If the item under the cursor leaves the
 * list, the cursor moves to the next item.
 */
export class Lru {
  readonly #memory: PageMemory
  readonly #heads = new Int32Array(LRU_LISTS)
  readonly #tails = new Int32Array(LRU_LISTS)
  readonly #sizes = new Int32Array(LRU_LISTS)
  readonly #bytes = new Float64Array(LRU_LISTS)
  readonly #cursors = new Int32Array(LRU_LISTS)

  constructor(memory: PageMemory) {
    this.#memory = memory
  }

  /** Returns the least recently used item of a list, 0 if it has none. */
  tail(list: number): number {
    return this.#tails[list]!
  }

  /** Returns the newest item of a list, 0 if it has none. */
  head(list: number): number {
    return this.#heads[list]!
  }

  /** Returns the number of items in a list. */
  size(list: number): number {
    return this.#sizes[list]!
  }

  /** Returns the bytes of a list's items, as memcached counts them. */
  bytes(list: number): number {
    return this.#bytes[list]!
  }

  /** Returns the next item towards the head; 0 at the head. */
  previous(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + LRU_PREVIOUS]!
  }

  /** Returns the next item towards the tail; 0 at the tail. */
  next(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + LRU_NEXT]!
  }

  addHead(item: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    const list = listOf(info)
    const head = this.#heads[list]!
    words[at + LRU_PREVIOUS] = 0
    words[at + LRU_NEXT] = head
    if (head === 0) this.#tails[list] = item
    else this.#memory.words(head)[wordOffset(head) + LRU_PREVIOUS] = item
    this.#heads[list] = item
    this.#sizes[list]!++
    this.#bytes[list]! += itemBytes(info & 0xff, words[at + CLIENT_FLAGS]!, words[at + VALUE_LENGTH]!)
  }

  remove(item: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    const list = listOf(info)
    const previous = words[at + LRU_PREVIOUS]!
    const next = words[at + LRU_NEXT]!
    if (this.#cursors[list] === item) this.#cursors[list] = previous
    if (previous === 0) this.#heads[list] = next
    else this.#memory.words(previous)[wordOffset(previous) + LRU_NEXT] = next
    if (next === 0) this.#tails[list] = previous
    else this.#memory.words(next)[wordOffset(next) + LRU_PREVIOUS] = previous
    this.#sizes[list]!--
    this.#bytes[list]! -= itemBytes(info & 0xff, words[at + CLIENT_FLAGS]!, words[at + VALUE_LENGTH]!)
  }

  /** Moves an item to the head of a list. */
  moveTo(item: number, list: number): void {
    this.remove(item)
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    words[at + INFO] = withList(words[at + INFO]!, list)
    this.addHead(item)
  }

  /** Replaces an item by its copy. */
  replace(item: number, copy: number): void {
    const words = this.#memory.words(copy)
    const at = wordOffset(copy)
    const list = listOf(words[at + INFO]!)
    const previous = words[at + LRU_PREVIOUS]!
    const next = words[at + LRU_NEXT]!
    if (this.#cursors[list] === item) this.#cursors[list] = copy
    if (previous === 0) this.#heads[list] = copy
    else this.#memory.words(previous)[wordOffset(previous) + LRU_NEXT] = copy
    if (next === 0) this.#tails[list] = copy
    else this.#memory.words(next)[wordOffset(next) + LRU_PREVIOUS] = copy
  }

  /** Sets a list's cursor to its tail. */
  startWalk(list: number): void {
    this.#cursors[list] = this.#tails[list]!
  }

  /** Returns the item under a list's cursor, and moves the cursor towards the head; 0 at the end of the walk. */
  walk(list: number): number {
    const item = this.#cursors[list]!
    if (item !== 0) this.#cursors[list] = this.previous(item)
    return item
  }
}
