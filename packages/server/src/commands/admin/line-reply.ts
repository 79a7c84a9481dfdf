import { Reply } from 'memcache-ts-protocol'
import { Progress } from '../../long-reply.ts'
import type { LongReply } from '../../long-reply.ts'
import type { ReplyWriter } from '../../reply-writer.ts'

/** Bytes made in one turn. */
const BYTES_PER_TURN = 64 * 1024

/** Lines of which there may be many, each with its end, and `END` behind them; a bounded number of bytes a turn. */
export class LineReply implements LongReply {
  readonly state = 'conn_mwrite'
  readonly #replies: ReplyWriter
  readonly #lines: Iterator<string>

  constructor(replies: ReplyWriter, lines: Iterable<string>) {
    this.#replies = replies
    this.#lines = lines[Symbol.iterator]()
  }

  next(): Progress {
    for (let bytes = 0; bytes < BYTES_PER_TURN;) {
      const { done, value } = this.#lines.next()
      if (done === true) {
        this.#replies.append(Reply.end)
        return Progress.done
      }
      this.#replies.appendText(value)
      bytes += value.length
    }
    return Progress.more
  }

  end(): void {
    this.#lines.return?.()
  }
}
