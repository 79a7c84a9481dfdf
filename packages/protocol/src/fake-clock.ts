import type { Clock } from './clock.ts'

/** A clock that stands still until it is advanced. */
export class FakeClock implements Clock {
  #nowMs: number

  /** @param startMs milliseconds since 1970. Default: the middle of a second, which reveals rounding errors. */
  constructor(startMs = 1_800_000_000_500) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  advanceMs(milliseconds: number): void {
    this.#nowMs += milliseconds
  }

  advanceSeconds(seconds: number): void {
    this.advanceMs(seconds * 1000)
  }
}
