/**
 * If a server hung up on the first meta command, a meta command is tried again after this time: the hang-up may have
 * had another reason, and the server may have been replaced.
 */
const TRY_AGAIN_MS = 60_000
/** A server that is stopping hangs up once; a proxy without meta commands hangs up each time. */
const MAX_HANG_UPS = 2

/**
 * Decides whether the handshake tries a meta command. A proxy without meta commands may hang up, be silent, or send an
 * invalid response; the next connections then do not try it.
 */
export class MetaSupport {
  #hangUps = 0
  /** Whether the last try succeeded: a later failure is caused by the network. */
  #isKnown = false
  #deniedAt = -Infinity
  /** Whether the meta command was sent and has no response yet. */
  isPending = false

  /** Whether the next connection tries it. */
  get mayTry(): boolean {
    return performance.now() - this.#deniedAt > TRY_AGAIN_MS
  }

  /**
   * Notes whether the server has meta commands, by its response.
   *
   * @returns whether the response is accepted. If the server had meta commands before, another connection is tried
   *   once: another server may have responded.
   */
  answered(hasMeta: boolean): boolean {
    this.isPending = false
    this.#hangUps = 0
    const isBelieved = hasMeta || !this.#isKnown
    this.#isKnown = hasMeta
    return isBelieved
  }

  /**
   * Notes that the server hung up. Returns whether the meta command was the reason, so that another connection may
   * succeed immediately.
   */
  hungUp(): boolean {
    if (!this.isPending || this.#isKnown) {
      this.isPending = false
      return false
    }
    this.#hangUps++
    if (this.#hangUps >= MAX_HANG_UPS) return this.denied()
    this.isPending = false
    return true
  }

  /**
   * Notes that no valid response was received. Returns whether another connection without the meta command may succeed
   * immediately.
   */
  denied(): boolean {
    const wasPending = this.isPending
    this.isPending = false
    if (!wasPending || this.#isKnown) return false
    this.#hangUps = 0
    this.#deniedAt = performance.now()
    return true
  }
}
