/** How the command `memcache-ts` ends; its help lists them. */
export const ExitStatus = {
  ok: 0,
  /** A key was not found, a check of `doctor` failed, or a part of the work could not be done. */
  incomplete: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No server responds. */
  unreachable: 3,
} as const

export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus]

/** An error whose message is all that the user needs to see. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly status: ExitStatus

  constructor(message: string, status: ExitStatus = ExitStatus.usage) {
    super(message)
    this.status = status
  }
}
