/**
 * If a server hung up on the first meta command, it gets one again after this long: the reason may have been another,
 * and the server may be new by now.
 */
const ASK_AGAIN_MS = 60_000
/** A server that was ending anyway hangs up once; a proxy without meta commands each time. */
const MAX_HANG_UPS = 2

/**
 * Whether the handshake tries a meta command. A proxy without meta commands may hang up on it, be silent, or send an
 * invalid response; then the next connections do without.
 */
export class MetaSupport {
  #hangUps = 0
  /** Whether the last try succeeded: a failure after that is the network's. */
  #isKnown = false
  #deniedAt = -Infinity
  /** Whether the meta command was sent and has no response yet. */
  isAsking = false

  /** Whether the next connection tries it. */
  get mayAsk(): boolean {
    return performance.now() - this.#deniedAt > ASK_AGAIN_MS
  }

  /**
   * The response has told whether the server has meta commands.
   *
   * @returns whether that is believed. If the server had them a moment ago, it is tried once more: another server may
   *   have responded.
   */
  answered(hasMeta: boolean): boolean {
    this.isAsking = false
    this.#hangUps = 0
    const isBelieved = hasMeta || !this.#isKnown
    this.#isKnown = hasMeta
    return isBelieved
  }

  /**
   * The server hung up. Returns whether the meta command was the reason, so that another connection at once may
   * succeed.
   */
  hungUp(): boolean {
    if (!this.isAsking || this.#isKnown) {
      this.isAsking = false
      return false
    }
    this.#hangUps++
    if (this.#hangUps >= MAX_HANG_UPS) return this.denied()
    this.isAsking = false
    return true
  }

  /** No valid response came. Returns whether another connection at once, without the meta command, may succeed. */
  denied(): boolean {
    const wasAsking = this.isAsking
    this.isAsking = false
    if (!wasAsking || this.#isKnown) return false
    this.#hangUps = 0
    this.#deniedAt = performance.now()
    return true
  }
}
