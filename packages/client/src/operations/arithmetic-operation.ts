import type { Uint64 } from 'memcache-ts-protocol'
import { Operation } from './operation.ts'
import type { WireKey } from '../client-key.ts'

/** The amount that is added to a counter, or subtracted from it. */
export interface ArithmeticRequest {
  readonly wireKey: WireKey
  readonly mode: 'incr' | 'decr'
  readonly delta: Uint64
  /** Whether the response has the cas unique and the time to live besides the value. */
  readonly details: boolean
  readonly initial?: Uint64 | undefined
  readonly vivifyExptime?: number | undefined
  readonly exptime?: number | undefined
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
}

/** A counter as the server left it; `undefined` digits are a miss. */
export interface CounterResponse {
  readonly digits: string | undefined
  readonly casUnique: bigint
  readonly ttlSeconds: number
}

export const NO_COUNTER: CounterResponse = { digits: undefined, casUnique: 0n, ttlSeconds: 0 }

/** Counting up or down. */
export class ArithmeticOperation extends Operation {
  readonly kind = 'arithmetic'
  readonly request: ArithmeticRequest
  /** The value's digits, until the response is complete. */
  digits: string | undefined
  /** The number of response lines that have not been received yet. */
  linesLeft = 1
  readonly #resolve: (response: CounterResponse) => void

  constructor(
    request: ArithmeticRequest,
    key: string,
    resolve: (response: CounterResponse) => void,
    reject: (error: unknown) => void,
  ) {
    super(key, true, reject)
    this.request = request
    this.#resolve = resolve
  }

  finish(response: CounterResponse): void {
    if (this.settle()) this.#resolve(response)
  }
}
