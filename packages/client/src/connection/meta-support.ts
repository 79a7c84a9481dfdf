/** A server that hung up on the question for meta commands is asked again after this long: it may have been another by chance, or be one by now. */
const ASK_AGAIN_MS = 60_000
/** A server that was ending anyway hangs up once; a proxy without meta commands each time. */
const MAX_HANG_UPS = 2

/**
 * Whether a server is to be asked for meta commands. A proxy without them may answer the question by hanging up, with silence, or
 * with something else; then it is not asked on the next connections.
 */
export class MetaSupport {
  #hangUps = 0
  /** Whether it has had them when it was last asked: what goes wrong then is the network's. */
  #isKnown = false
  #deniedAt = -Infinity
  /** Whether the question is out. */
  isAsking = false

  /** Whether it is to be asked on the next connection. */
  get mayAsk(): boolean {
    return performance.now() - this.#deniedAt > ASK_AGAIN_MS
  }

  /**
   * It has answered whether it has them.
   * @returns whether that is believed. A server that had them a moment ago is asked once more: another may have answered for it.
   */
  answered(hasMeta: boolean): boolean {
    this.isAsking = false
    this.#hangUps = 0
    const isBelieved = hasMeta || !this.#isKnown
    this.#isKnown = hasMeta
    return isBelieved
  }

  /** It hung up. Returns whether that was an answer to the question, so that it is worth another connection at once. */
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

  /** What came, if anything, was no answer to the question. Returns whether it is worth another connection at once, which is not asked. */
  denied(): boolean {
    const wasAsking = this.isAsking
    this.isAsking = false
    if (!wasAsking || this.#isKnown) return false
    this.#hangUps = 0
    this.#deniedAt = performance.now()
    return true
  }
}
