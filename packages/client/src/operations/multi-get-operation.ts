import { CallDeadline } from '../call-deadline.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { decodeError, stepError } from '../errors.ts'
import { KeyListOperation } from './key-list-operation.ts'
import { readValue } from './operation.ts'

/** Takes the response to a list of keys. */
export interface MultiGetSink<Given> {
  hit(given: Given, value: unknown, clientFlags: number, casUnique: bigint): void
  /** The key alone has failed. */
  failed(given: Given, error: unknown): void
  /** The value may be an unfilled lease: reads the key by a meta command. */
  askAgain?(given: Given): Promise<void>
}

/** One caller's list of keys, as far as one connection has them and one request holds them. */
export class MultiGetOperation<Given> extends KeyListOperation {
  /** The keys as they were given, in the order of `wireKeys`. */
  readonly given: Given[] = []
  readonly #sink: MultiGetSink<Given>
  protected readonly reader: ValueReader
  readonly #resolve: (steps: Promise<unknown> | undefined) => void
  /** What is still to be done for some keys; never rejects. */
  #steps: Promise<void>[] | undefined

  /** @param resolve is handed what is still to be done for some keys. */
  constructor(
    sink: MultiGetSink<Given>,
    reader: ValueReader,
    resolve: (steps: Promise<unknown> | undefined) => void,
    reject: (error: unknown) => void,
  ) {
    super(undefined, false, reject)
    this.#sink = sink
    this.reader = reader
    this.#resolve = resolve
  }

  add(wireKey: string, given: Given): void {
    this.wireKeys.push(wireKey)
    this.given.push(given)
  }

  protected miss(): void {}

  protected hit(index: number, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    if (this.settled) return
    const given = this.given[index]!
    const { casUnique } = this
    try {
      const value = readValue(this.reader, buffer, start, end, clientFlags, owned)
      if (!(value instanceof ValueInChunks)) this.#sink.hit(given, value, clientFlags, casUnique)
      else this.#step(index, this.#gather(given, value, clientFlags, casUnique))
    } catch (error) {
      this.#sink.failed(given, decodeError(error, this.wireKeys[index]))
    }
  }

  protected askAgain(index: number): void {
    const given = this.given[index]!
    if (this.settled) return
    if (this.#sink.askAgain !== undefined) this.#step(index, this.#sink.askAgain(given))
  }

  finish(): void {
    if (this.settle()) this.#resolve(this.#steps && Promise.all(this.#steps))
  }

  /** A value in chunks that are not all there is a miss. */
  async #gather(given: Given, value: ValueInChunks, clientFlags: number, casUnique: bigint): Promise<void> {
    const whole = await value.gather(CallDeadline.of(this))
    if (whole !== undefined) this.#sink.hit(given, whole, clientFlags, casUnique)
  }

  #step(index: number, step: Promise<void>): void {
    const failed = (error: unknown): void =>
      this.#sink.failed(this.given[index]!, stepError(error, this.wireKeys[index]))
    ;(this.#steps ??= []).push(step.catch(failed))
  }
}
