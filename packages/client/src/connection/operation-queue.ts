import type { Operation } from '../operations/operation.ts'

const INITIAL_CAPACITY = 64

/** The operations whose answers are still to come, in the order of their requests: a ring, so that neither end moves memory. */
export class OperationQueue {
  #slots: (Operation | undefined)[] = Array.from({ length: INITIAL_CAPACITY })
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The operation that the next answer belongs to. */
  first(): Operation | undefined {
    return this.#slots[this.#head]
  }

  push(operation: Operation): void {
    if (this.#length === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = operation
    this.#length++
  }

  shift(): Operation | undefined {
    const operation = this.#slots[this.#head]
    if (operation === undefined) return undefined
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.#length--
    return operation
  }

  *[Symbol.iterator](): IterableIterator<Operation> {
    for (let index = 0; index < this.#length; index++) {
      yield this.#slots[(this.#head + index) & (this.#slots.length - 1)]!
    }
  }

  #grow(): void {
    const slots: (Operation | undefined)[] = [...this]
    slots.length = this.#slots.length * 2
    this.#slots = slots
    this.#head = 0
  }
}
