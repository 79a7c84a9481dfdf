/** How far a long reply is. */
export const Progress = {
  /** More is to come. */
  more: 0,
  done: 1,
  /** It cannot be finished: the connection has to be closed, or the client would take a part for the whole. */
  failed: 2,
} as const

export type Progress = (typeof Progress)[keyof typeof Progress]

/**
 * A reply that is too long to be made at once: a bounded piece at a time, no faster than the client reads, while the
 * other connections have their turns.
 */
export interface LongReply {
  /** What the connection is doing meanwhile, by memcached's names of connection states. */
  readonly state: string
  /** Adds the next piece to the replies. */
  next(): Progress
  /** The connection is gone before it was done. */
  end(): void
}
