import { MAX_RELATIVE_EXPTIME_SECONDS } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'

/** memcached's clock starts here, so that an exptime of 1 is always in the past. */
const START_SECONDS = 2
const MAX_SECOND = 0x7fff_ffff

/**
 * The server's seconds, counted from its start, so that a time fits a small integer and setting the wall clock back
 * does not revive expired items for long.
 */
export class ServerClock {
  /** The time of the last or the next flush, in the server's seconds; 0 for never. */
  oldestLive = 0
  readonly #clock: Clock
  readonly #startMs: number
  #advancedSeconds = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startMs = clock.nowMs()
  }

  /** Returns the current second. */
  now(): number {
    const passed = Math.max(0, Math.floor((this.#clock.nowMs() - this.#startMs) / 1000))
    return START_SECONDS + passed + this.#advancedSeconds
  }

  /** Moves the clock, for tests (`debugtime`). */
  advance(seconds: number): void {
    this.#advancedSeconds += seconds
  }

  /** Returns milliseconds since 1970. */
  nowMs(): number {
    return this.#clock.nowMs()
  }

  /** Returns seconds since 1970. */
  unixSeconds(): number {
    return Math.floor(this.#clock.nowMs() / 1000)
  }

  /** Converts one of the server's seconds to seconds since 1970. */
  toUnix(second: number): number {
    return second - START_SECONDS + Math.floor(this.#startMs / 1000)
  }

  /** Converts seconds since 1970 to one of the server's seconds; 0 or less for times before its start. */
  fromUnix(unixSeconds: number): number {
    return unixSeconds - Math.floor(this.#startMs / 1000) + START_SECONDS
  }

  uptimeSeconds(): number {
    return this.now() - START_SECONDS
  }

  /**
   * Converts the exptime of a request to the server's seconds: 0 stays "never", and a time in the past becomes 1
   * (protocol.txt, "Expiration times").
   */
  expiry(exptime: number, now: number): number {
    if (exptime === 0) return 0
    if (exptime < 0) return 1
    if (exptime <= MAX_RELATIVE_EXPTIME_SECONDS) return now + exptime
    // An unsigned 32-bit time may not fit the item's field; it then means never.
    return Math.min(MAX_SECOND, Math.max(1, exptime - Math.floor(this.#startMs / 1000) + START_SECONDS))
  }
}
