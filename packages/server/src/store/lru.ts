import { LRU_NEXT, LRU_PREVIOUS } from './item-layout.ts'
import { wordOffset } from './segmented-memory.ts'
import type { SegmentedMemory } from './segmented-memory.ts'

/** The items of each class in the order of their use, linked through the items themselves: newest at the head. */
export class Lru {
  readonly #memory: SegmentedMemory
  readonly #heads: Int32Array
  readonly #tails: Int32Array
  readonly #sizes: Int32Array

  constructor(memory: SegmentedMemory, classes: number) {
    this.#memory = memory
    this.#heads = new Int32Array(classes)
    this.#tails = new Int32Array(classes)
    this.#sizes = new Int32Array(classes)
  }

  /** The longest unused item of a class, 0 when it has none. */
  tail(classId: number): number {
    return this.#tails[classId]!
  }

  /** How many items a class has. */
  size(classId: number): number {
    return this.#sizes[classId]!
  }

  /** The item used just before this one's turn, towards the head; 0 at the head. */
  previous(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + LRU_PREVIOUS]!
  }

  addHead(item: number, classId: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const head = this.#heads[classId]!
    words[at + LRU_PREVIOUS] = 0
    words[at + LRU_NEXT] = head
    if (head === 0) this.#tails[classId] = item
    else this.#memory.words(head)[wordOffset(head) + LRU_PREVIOUS] = item
    this.#heads[classId] = item
    this.#sizes[classId]!++
  }

  remove(item: number, classId: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const previous = words[at + LRU_PREVIOUS]!
    const next = words[at + LRU_NEXT]!
    if (previous === 0) this.#heads[classId] = next
    else this.#memory.words(previous)[wordOffset(previous) + LRU_NEXT] = next
    if (next === 0) this.#tails[classId] = previous
    else this.#memory.words(next)[wordOffset(next) + LRU_PREVIOUS] = previous
    this.#sizes[classId]!--
  }
}
