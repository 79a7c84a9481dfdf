import type { ServerResponse } from 'node:http'
import { addListener } from '../../extra-listener.ts'
import type { StopSource } from '../../engine/engine.ts'
import type { FreshResponse } from '../records/stored-record.ts'

/** The head of a response that its handler is still writing, and that may be shared. */
export interface LiveHead extends Omit<FreshResponse, 'body'> {
  /** The length of the body in bytes, if the head states it. */
  readonly length: number | undefined
}

/** The result for followers of a response that cannot get its head. */
export type NotShared =
  /** The response cannot be shared: they run their own handlers immediately. */
  | 'alone'
  /** There is no response: they look it up again. */
  | 'retry'

/**
 * A response that is being written, for concurrent requests for the same key. Its head determines whether these
 * requests can share it; if they can, they get each part of its body as it is written. The handler does not wait for
 * them.
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
   * @param maxBytes the maximum number of unread bytes of a follower, if the body is too large to be kept.
   * @param onUnfollowed called when the last waiting or following request has left.
   */
  constructor(maxBytes: number, onUnfollowed: () => void) {
    this.#maxBytes = maxBytes
    this.#onUnfollowed = onUnfollowed
  }

  /** Whether other requests wait for the response, or are being sent it. */
  get isFollowed(): boolean {
    return !this.#isOver && this.#followers.size + this.#waiting.size > 0
  }

  /** Whether the body is too large to be kept, so that only the current followers get it. */
  get isRelayed(): boolean {
    return this.#parts === undefined && !this.#isOver
  }

  /** Resolves to the head when the handler has written it. */
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
          this.#notifyUnfollowed()
        }
        this.#waiting.add(settle)
        signal.addEventListener('abort', leave)
      })
    }
    return this.now
  }

  /** The current head, or the reason why there is none. */
  get now(): LiveHead | NotShared {
    if (this.#notShared !== undefined) return this.#notShared
    return this.#head === undefined || this.#parts === undefined ? 'alone' : this.#head
  }

  /** Sends the body to a response whose head is written: the existing part, and the rest as it is written. */
  follow(response: ServerResponse): void {
    for (const part of this.#parts ?? []) response.write(part)
    if (this.#isOver) {
      response.end()
      return
    }
    this.#followers.add(response)
    addListener(response, 'close', () => {
      if (this.#followers.delete(response)) this.#notifyUnfollowed()
    })
  }

  /** Called when the head is known and may be shared. */
  begin(head: LiveHead): void {
    this.#head ??= head
    this.#settle()
  }

  push(part: Buffer): void {
    this.#parts?.push(part)
    for (const follower of this.#followers) {
      follower.write(part)
      // The unread part is not kept elsewhere, and must not fill the memory.
      if (this.#parts === undefined && follower.writableLength > this.#maxBytes) follower.destroy()
    }
  }

  /** Called when the body is too large to be kept: current followers get the rest, and no request can join any more. */
  overflow(): void {
    if (this.#head === undefined) this.fail('alone')
    else this.#parts = undefined
  }

  /** Called when the body is complete. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const follower of this.#followers) follower.end()
    this.#followers.clear()
    this.#settle()
  }

  /** Called when the response cannot be shared, or will not be complete: a started body must not look complete. */
  fail(reason: NotShared): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#notShared = reason
    for (const follower of this.#followers) follower.destroy()
    this.#followers.clear()
    this.#settle()
  }

  #notifyUnfollowed(): void {
    if (!this.#isOver && !this.isFollowed) this.#onUnfollowed()
  }

  #settle(): void {
    for (const settle of this.#waiting) settle()
  }
}
