import type { SessionLock } from './session.ts'

/** The locks that one request holds, by session id: a request may have had several sessions. */
export class RequestLocks {
  readonly #held = new Map<string, SessionLock>()
  readonly #save: () => Promise<void>

  /** @param save stores the changes that the request has made so far. */
  constructor(save: () => Promise<void>) {
    this.#save = save
  }

  get size(): number {
    return this.#held.size
  }

  /**
   * Takes the lock of a session. Releasing it stores the session first.
   *
   * @param steps `reload` reads the session again once it is locked, since it may have changed before.
   */
  async take(
    id: string,
    { acquire, reload }: { readonly acquire: () => Promise<SessionLock>; readonly reload: () => Promise<unknown> },
  ): Promise<SessionLock> {
    // A request that already holds the lock would wait for itself.
    if (this.#held.has(id)) return lockOf(this.#save)
    const lock = await acquire()
    this.#held.set(id, lock)
    try {
      await reload()
    } catch (error) {
      this.#held.delete(id)
      await lock.release()
      throw error
    }
    return lockOf(async () => {
      if (!this.#held.delete(id)) return
      try {
        await this.#save()
      } finally {
        await lock.release()
      }
    })
  }

  /** Waits for the request's writes, then releases the locks that it still holds. */
  async releaseAfter(work: Promise<unknown>): Promise<void> {
    try {
      await work
    } finally {
      await Promise.allSettled(Array.from(this.#held.values(), async (lock) => lock.release()))
      this.#held.clear()
    }
  }
}

function lockOf(release: () => Promise<void>): SessionLock {
  return { release, [Symbol.asyncDispose]: release }
}
