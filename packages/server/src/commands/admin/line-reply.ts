import { Progress } from '../../long-reply.ts'
import type { LongReply } from '../../long-reply.ts'
import type { ReplyWriter } from '../../reply-writer.ts'

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
