/** The progress of a long response. */
export const Progress = {
  /** More is to come. */
  more: 0,
  done: 1,
  /** It cannot be finished. The connection must be closed, or the client would take a part for the whole. */
  failed: 2,
} as const

export type Progress = (typeof Progress)[keyof typeof Progress]

/**
 * A response that is too long to be built at once. It is built in bounded pieces, no faster than the client reads, and
 * other connections have their turns in between.
 */
export interface LongReply {
  /** The state of the connection meanwhile, by memcached's names. */
  readonly state: string
  /** Adds the next piece to the replies. */
  next(): Progress
  /** Ends the response if the connection is closed early. */
  end(): void
}
