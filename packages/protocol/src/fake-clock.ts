import type { Clock } from './clock.ts'

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #nowMs: number

  /** @param startMs milliseconds since 1970; by default the middle of a second, where rounding shows. */
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
