import { printable } from '../printable.ts'

/** What is logged of a user's name whose credentials were wrong. */
const MAX_LOGGED_USER_BYTES = 64

/** Logs refused credentials, at most one line a second, so that guessing does not fill the log; never the password. */
export class RefusalLog {
  readonly #log: (line: string) => void
  #loggedAt = 0
  /** Refusals since the last line. */
  #count = 0

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  /** Counts a refusal in the second `now`; `user` is empty if the credentials name nobody. */
  refused(user: Buffer, now: number): void {
    this.#count++
    if (now === this.#loggedAt) return
    this.#loggedAt = now
    const whose = user.length === 0 ? '' : ` of user '${printable(user.toString('latin1', 0, MAX_LOGGED_USER_BYTES))}'`
    this.#log(`refused wrong credentials${whose} (attempts since the last such line: ${this.#count})`)
    this.#count = 0
  }
}
