/** The exit statuses of the command `memcache-ts`; its help lists them. */
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

/** An error of which the user sees only the message. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly status: ExitStatus

  constructor(message: string, status: ExitStatus = ExitStatus.usage) {
    super(message)
    this.status = status
  }
}
