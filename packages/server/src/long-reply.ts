import type { ReplyWriter } from './reply-writer.ts'

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

/** Bytes made in one turn. */
const BYTES_PER_TURN = 32 * 1024

/** A response of many lines and a last line such as `END`, with a bounded number of bytes in each turn. */
export class LineReply implements LongReply {
  readonly state = 'conn_mwrite'
  readonly #replies: ReplyWriter
  readonly #lines: Iterator<string>
  readonly #end: string

  constructor(replies: ReplyWriter, lines: Iterable<string>, end = 'END\r\n') {
    this.#replies = replies
    this.#end = end
    this.#lines = lines[Symbol.iterator]()
  }

  next(): Progress {
    let text = ''
    while (text.length < BYTES_PER_TURN) {
      const { done, value } = this.#lines.next()
      if (done === true) {
        this.#replies.appendText(text + this.#end)
        return Progress.done
      }
      text += value
    }
    this.#replies.appendText(text)
    return Progress.more
  }

  end(): void {
    this.#lines.return?.()
  }
}
