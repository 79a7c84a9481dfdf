import type { ServerResponse } from 'node:http'
import type { StopSource } from '../../engine/engine.ts'
import type { FreshResponse } from './handler-run.ts'

/** The head of a response that its handler is still writing, and that may be shared. */
export interface LiveHead extends Omit<FreshResponse, 'body'> {
  /** The length of the body as its head tells it, in bytes. */
  readonly length: number | undefined
}

/** What others are told of a response that is being written, if not its head. */
export type NotShared =
  /** It is not theirs: they run their own handlers, at once. */
  | 'alone'
  /** There is no answer here: they look it up again. */
  | 'retry'

/**
 * A response that is being written, for others that have asked for the same meanwhile. They learn from its head whether
 * it can be theirs, and then get each part of its body as it is written. The handler waits for none of them.
 */
export class LiveResponse {
  readonly #maxBytes: number
  readonly #followers = new Set<ServerResponse>()
  readonly #waiting = new Set<() => void>()
  #head: LiveHead | undefined
  #parts: Buffer[] | undefined = []
  #isOver = false
  #notShared: NotShared | undefined
  readonly #onUnfollowed: () => void

  /**
   * @param maxBytes how far a follower may fall behind once the body is too large to be kept.
   * @param onUnfollowed the last of those who waited for the response, or followed it, has left.
   */
  constructor(maxBytes: number, onUnfollowed: () => void) {
    this.#maxBytes = maxBytes
    this.#onUnfollowed = onUnfollowed
  }

  /** Whether others wait for the response, or are being sent it. */
  get isFollowed(): boolean {
    return !this.#isOver && this.#followers.size + this.#waiting.size > 0
  }

  /** Whether the body is too large to be kept, and goes to those alone who follow it. */
  get isRelayed(): boolean {
    return this.#parts === undefined && !this.#isOver
  }

  /** The head, when its handler has written it. */
  async head(signal: StopSource): Promise<LiveHead | NotShared> {
    if (this.#head === undefined && !this.#isOver && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const settle = (): void => {
          this.#waiting.delete(settle)
          signal.removeEventListener('abort', leave)
          resolve()
        }
        const leave = (): void => {
          settle()
          this.#tellUnfollowed()
        }
        this.#waiting.add(settle)
        signal.addEventListener('abort', leave)
      })
    }
    return this.now
  }

  /** The head, or what there is in its place, as it is at this moment. */
  get now(): LiveHead | NotShared {
    if (this.#notShared !== undefined) return this.#notShared
    return this.#head === undefined || this.#parts === undefined ? 'alone' : this.#head
  }

  /** Sends a response, whose head is written, the body: what there is of it, and the rest as it comes. */
  follow(response: ServerResponse): void {
    for (const part of this.#parts ?? []) response.write(part)
    if (this.#isOver) {
      response.end()
      return
    }
    this.#followers.add(response)
    response.once('close', () => {
      if (this.#followers.delete(response)) this.#tellUnfollowed()
    })
  }

  /** The head is known, and may be shared. */
  begin(head: LiveHead): void {
    this.#head ??= head
    this.#settle()
  }

  push(part: Buffer): void {
    this.#parts?.push(part)
    for (const follower of this.#followers) {
      follower.write(part)
      // Nothing keeps what it has not read, and it must not fill the memory.
      if (this.#parts === undefined && follower.writableLength > this.#maxBytes) follower.destroy()
    }
  }

  /** The body is too large to be kept: those who follow get the rest, and nobody joins them any more. */
  overflow(): void {
    if (this.#head === undefined) this.fail('alone')
    else this.#parts = undefined
  }

  /** The body is whole. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const follower of this.#followers) follower.end()
    this.#followers.clear()
    this.#settle()
  }

  /** The response cannot be shared, or will not be whole: a body that has begun must not look complete. */
  fail(told: NotShared): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#notShared = told
    for (const follower of this.#followers) follower.destroy()
    this.#followers.clear()
    this.#settle()
  }

  #tellUnfollowed(): void {
    if (!this.#isOver && !this.isFollowed) this.#onUnfollowed()
  }

  #settle(): void {
    for (const settle of this.#waiting) settle()
  }
}
