import { CallDeadline } from '../call-deadline.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { decodeError, stepError } from '../errors.ts'
import { KeyListOperation } from './key-list-operation.ts'
import { readValue } from './operation.ts'

/** Takes the response to a list of keys. */
export interface MultiGetSink<Given> {
  hit(given: Given, value: unknown, clientFlags: number, casUnique: bigint): void
  /** Notes that one key has failed; the others are not affected. */
  failed(given: Given, error: unknown): void
  /** Reads the key again by a meta command, since its value may be an unfilled lease. */
  readAgain?(given: Given): Promise<void>
}

/** The keys of one caller that belong to one connection and fit one request. */
export class MultiGetOperation<Given> extends KeyListOperation {
  /** The keys as they were given, in the order of `wireKeys`. */
  readonly given: Given[] = []
  readonly #sink: MultiGetSink<Given>
  protected readonly reader: ValueReader
  readonly #resolve: (steps: Promise<unknown> | undefined) => void
  /** Further steps for some keys; they never reject. */
  #steps: Promise<void>[] | undefined

  /** @param resolve receives the further steps for some keys. */
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

  protected readAgain(index: number): void {
    const given = this.given[index]!
    if (this.settled) return
    if (this.#sink.readAgain !== undefined) this.#step(index, this.#sink.readAgain(given))
  }

  finish(): void {
    if (this.settle()) this.#resolve(this.#steps && Promise.all(this.#steps))
  }

  /** Fetches the chunks of a value; if a chunk is missing, the key is a miss. */
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
