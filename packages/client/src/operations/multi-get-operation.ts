import { CallDeadline } from '../call-deadline.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { decodeError, stepError } from '../errors.ts'
import { KeyListOperation } from './key-list-operation.ts'
import { readValue } from './operation.ts'

/** The metadata of a hit. */
export interface HitDetails {
  readonly clientFlags: number
  /** Zero unless it was requested. */
  readonly casUnique: bigint
}

/** Reads the values of a list of keys, and takes them. */
export interface MultiGetSink<Given> {
  readonly reader: ValueReader
  /** @param details the metadata, valid only during the call. */
  hit(given: Given, value: unknown, details: HitDetails): void
  /** Notes that one key has failed; the others are not affected. */
  failed(given: Given, error: unknown): void
  /** Reads the key again by a meta command, since its value may be an unfilled lease. */
  readAgain?(given: Given): Promise<void>
}

/** The keys of one caller that belong to one connection and fit one request. */
export class MultiGetOperation<Given> extends KeyListOperation implements HitDetails {
  /** The client flags of the current hit. */
  clientFlags = 0
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
    resolve: (steps: Promise<unknown> | undefined) => void,
    reject: (error: unknown) => void,
  ) {
    super(undefined, 'reads', reject)
    this.#sink = sink
    this.reader = sink.reader
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
    this.clientFlags = clientFlags
    try {
      const value = readValue(this.reader, buffer, start, end, clientFlags, owned)
      if (!(value instanceof ValueInChunks)) this.#sink.hit(given, value, this)
      else this.#step(index, this.#gather(given, value, { clientFlags, casUnique: this.casUnique }))
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
  async #gather(given: Given, value: ValueInChunks, details: HitDetails): Promise<void> {
    const whole = await value.gather(CallDeadline.of(this))
    if (whole !== undefined) this.#sink.hit(given, whole, details)
  }

  #step(index: number, step: Promise<void>): void {
    const failed = (error: unknown): void =>
      this.#sink.failed(this.given[index]!, stepError(error, this.wireKeys[index]))
    ;(this.#steps ??= []).push(step.catch(failed))
  }
}
