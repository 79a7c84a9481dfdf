import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers'

/** The room that a buffer must have for another line, as in memcached. */
const LINE_BYTES = 1024

/** The options of a watcher. */
export interface WatcherOptions {
  /** `EventStream`s, as bits. */
  readonly streams: number
  /** The maximum number of bytes that wait for the client. */
  readonly bufferBytes: number
  /** Events before this one are not shown. */
  readonly firstEvent: number
}

/**
 * A watcher: lines wait for its client in a buffer of bounded size. Lines that do not fit are counted, and reported by
 * a line `skipped=<count>` once there is room again.
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

  /** Returns whether there is room for another line; if not, the line counts as skipped. */
  hasRoom(): boolean {
    if (this.#lines.length + this.#stream.writableLength + LINE_BYTES <= this.#bufferBytes) return true
    this.#skipped++
    return false
  }

  /** Adds a line of bytes as latin1, for which there is room. */
  add(line: string): void {
    this.#reportSkipped()
    this.#lines += line
    this.#scheduleFlush()
  }

  #scheduleFlush(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(this.#flush)
  }

  /**
   * Writes the waiting lines, unless an earlier write is pending: its callback flushes the lines that are collected
   * meanwhile. After everything was sent, skipped lines are reported at once, since there may be no further event.
   */
  #flushLines(): void {
    this.#isFlushing = false
    if (this.#stream.destroyed || this.#stream.writableLength > 0) return
    if (this.#lines === '') this.#reportSkipped()
    if (this.#lines === '') return
    const lines = this.#lines
    this.#lines = ''
    this.#stream.write(Buffer.from(lines, 'latin1'), this.#flush)
  }

  #reportSkipped(): void {
    if (this.#skipped === 0) return
    this.#lines += `skipped=${this.#skipped}\n`
    this.#skipped = 0
  }
}
