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
  #deniedAt = -Infinity
  /** Whether the question is out. */
  isAsking = false

  /** Whether it is to be asked on the next connection. */
  get mayAsk(): boolean {
    return performance.now() - this.#deniedAt > ASK_AGAIN_MS
  }

  /** It has answered. */
  answered(): void {
    this.isAsking = false
    this.#hangUps = 0
  }

  /** It hung up on the question. */
  hungUp(): void {
    this.isAsking = false
    this.#hangUps++
    if (this.#hangUps >= MAX_HANG_UPS) this.denied()
  }

  /** Its answer was none. */
  denied(): void {
    this.isAsking = false
    this.#hangUps = 0
    this.#deniedAt = performance.now()
  }
}
