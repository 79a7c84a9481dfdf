import type { Duplex } from 'node:stream'

/** Room that a full buffer keeps for a line, as memcached asks for. */
const LINE_BYTES = 1024

/** What a client watches. */
export interface WatcherOptions {
  /** `EventStream`s, as bits. */
  readonly streams: number
  /** How many bytes of lines may wait for the client. */
  readonly bufferBytes: number
  /** Events before this one are not shown. */
  readonly firstEvent: number
}

/**
 * A client that watches: lines wait for it in a buffer of bounded size. What does not fit is counted, and told by a
 * line `skipped=<count>` once there is room again.
 */
export class Watcher {
  readonly streams: number
  /** Events before this one are not shown. */
  readonly firstEvent: number
  readonly #stream: Duplex
  readonly #bufferBytes: number
  readonly #flush = (): void => this.#flushLines()
  #lines = 'OK\r\n'
  #skipped = 0
  #isFlushing = false

  constructor(stream: Duplex, { streams, bufferBytes, firstEvent }: WatcherOptions) {
    this.#stream = stream
    this.streams = streams
    this.#bufferBytes = bufferBytes
    this.firstEvent = firstEvent
    this.#scheduleFlush()
  }

  /** Whether there is room for another line; one for which there is none counts as skipped. */
  hasRoom(): boolean {
    if (this.#lines.length + this.#stream.writableLength + LINE_BYTES <= this.#bufferBytes) return true
    this.#skipped++
    return false
  }

  /** Adds a line of bytes as latin1, for which there is room. */
  add(line: string): void {
    this.#tellSkipped()
    this.#lines += line
    this.#scheduleFlush()
  }

  #scheduleFlush(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(this.#flush)
  }

  /**
   * Writes what waits, unless the client has not read what was written before: that write calls back, so that lines
   * gather meanwhile. When all has left, what was skipped is told at once, though nothing new may ever happen.
   */
  #flushLines(): void {
    this.#isFlushing = false
    if (this.#stream.destroyed || this.#stream.writableLength > 0) return
    if (this.#lines === '') this.#tellSkipped()
    if (this.#lines === '') return
    const lines = this.#lines
    this.#lines = ''
    this.#stream.write(Buffer.from(lines, 'latin1'), this.#flush)
  }

  #tellSkipped(): void {
    if (this.#skipped === 0) return
    this.#lines += `skipped=${this.#skipped}\n`
    this.#skipped = 0
  }
}
