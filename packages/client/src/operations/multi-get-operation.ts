import type { ValueReader } from '../values/value-codec.ts'
import { decodeError } from './decode-error.ts'
import { KeyListOperation } from './key-list-operation.ts'

/** One caller's list of keys, as far as one server has them and one request holds them. */
export class MultiGetOperation<Given> extends KeyListOperation {
  /** The keys as they were given, in the order of `wireKeys`. */
  readonly given: Given[] = []
  readonly #hits: Map<Given, unknown>
  readonly #reader: ValueReader
  readonly #again: (given: Given) => Promise<void>
  readonly #resolve: (asked: Promise<void>[]) => void
  readonly #asked: Promise<void>[] = []

  /**
   * @param again asks for one key by a meta command, and adds it to the hits if it is one.
   * @param resolve is handed what was asked again.
   */
  constructor(
    hits: Map<Given, unknown>,
    reader: ValueReader,
    again: (given: Given) => Promise<void>,
    resolve: (asked: Promise<void>[]) => void,
    reject: (error: unknown) => void,
  ) {
    super(undefined, false, reject)
    this.#hits = hits
    this.#reader = reader
    this.#again = again
    this.#resolve = resolve
  }

  add(wireKey: string, given: Given): void {
    this.wireKeys.push(wireKey)
    this.given.push(given)
  }

  protected hit(index: number, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    if (this.settled) return
    const given = this.given[index]!
    try {
      const value = this.#reader.read(buffer, start, end, clientFlags, owned)
      if (value instanceof Promise) this.#ask(value.then((whole) => this.#add(given, whole)))
      else this.#hits.set(given, value)
    } catch (error) {
      this.fail(decodeError(error, this.wireKeys[index]))
    }
  }

  protected askAgain(index: number): void {
    if (!this.settled) this.#ask(this.#again(this.given[index]!))
  }

  finish(): void {
    if (this.settle()) this.#resolve(this.#asked)
  }

  #ask(asked: Promise<void>): void {
    // It may fail before this operation is done, or when this one has failed: then nobody else hears of it.
    asked.catch(() => {})
    this.#asked.push(asked)
  }

  /** A value in chunks that are not all there is a miss. */
  #add(given: Given, value: unknown): void {
    if (value !== undefined) this.#hits.set(given, value)
  }
}
