import type { CacheDown } from './cache-down.ts'
import type { SessionStep } from './session-errors.ts'
import { isError } from './session.ts'
import type { Callback } from './session.ts'

/** The kinds of writes. A lost renewal of the lifetime is harmless; a session that was not destroyed is a security risk. */
export type WriteKind = 'save' | 'destroy' | 'renewal'

/** The names of writes in messages. */
export const STEPS = { save: 'saved', destroy: 'destroyed', renewal: 'saved' } as const satisfies Record<
  WriteKind,
  SessionStep
>

/** The application's call that has caused a write. */
export interface WriteCaller {
  /** The application's callback, if it has passed one. */
  readonly callback: Callback | undefined
  /** Returns whether the caller handles a failure. */
  readonly isAttended: () => boolean
}

export const always = (): boolean => true
export const never = (): boolean => false
/** For writes that the application has not requested: every failure is reported to the response. */
export const NO_CALLER: WriteCaller = { callback: undefined, isAttended: always }

/** A pending write, or one that has failed without its caller handling the error. */
interface PendingWrite {
  readonly kind: WriteKind
  readonly outcome: Promise<void>
}

/** A write of a session, and the caller that receives its outcome. */
export interface SessionWrite {
  readonly kind: WriteKind
  /** Starts the write, which calls back when it is done. */
  start(done: Callback): void
  /** The application's callback, if it has passed one. */
  readonly callback: Callback | undefined
  /** Returns whether the caller handles a failure; if not, the response fails. */
  isAttended(): boolean
}

/** The writes of one request that its response waits for: pending writes, and failures that no caller has handled. */
export class PendingWrites {
  readonly #writes = new Set<PendingWrite>()

  get size(): number {
    return this.#writes.size
  }

  /**
   * Starts a write and remembers it until it is done. A failure that no caller handles is remembered until the response
   * is ended.
   */
  start(write: SessionWrite): void {
    let pending: PendingWrite | undefined
    let settled: { error: unknown } | undefined
    let settle: ((error: unknown) => void) | undefined
    write.start((error) => {
      settled = { error }
      if (pending !== undefined && (!isError(error) || write.isAttended())) this.#writes.delete(pending)
      settle?.(error)
      write.callback?.(error)
    })
    if (settled !== undefined && (!isError(settled.error) || write.isAttended())) return
    const outcome = new Promise<void>((resolve, reject) => {
      settle = (error) => (isError(error) ? reject(error) : resolve())
      if (settled !== undefined) settle(settled.error)
    })
    outcome.catch(() => {})
    pending = { kind: write.kind, outcome }
    this.#writes.add(pending)
  }

  /** Runs a step after the earlier writes are done, so that a session is not saved after it was destroyed. */
  after(step: () => void): void {
    if (this.#writes.size === 0) return step()
    const outcome = this.earlier().then(() => this.#outcomeOf(step))
    const pending: PendingWrite = { kind: 'destroy', outcome }
    outcome.then(
      () => this.#writes.delete(pending),
      () => {},
    )
    this.#writes.add(pending)
  }

  /** Waits for the writes that have been started until now, whether they succeed or fail. */
  async earlier(): Promise<void> {
    await Promise.allSettled(Array.from(this.#writes, ({ outcome }) => outcome))
  }

  /**
   * Waits for the writes that have been started, and forgets them.
   *
   * @param onFailure called for each failed write. If it throws, the promise rejects with the first such error, but
   *   only after all writes are done: a pending new id decides which cookie the error response carries.
   */
  settle(onFailure: (error: unknown, kind: WriteKind) => void): Promise<unknown> {
    const outcomes = Array.from(this.#writes, ({ kind, outcome }) =>
      outcome.catch((error: unknown) => onFailure(error, kind)),
    )
    this.#writes.clear()
    // Most requests write once, and need no further promise.
    return outcomes.length === 1 ? outcomes[0]! : allDone(outcomes)
  }

  /** Runs a step and waits for the writes that it starts. */
  async #outcomeOf(step: () => void): Promise<void> {
    const before = new Set(this.#writes)
    step()
    await Promise.all(Array.from(this.#writes, async (write) => (before.has(write) ? undefined : write.outcome)))
  }
}

/** Warns the operator that a session was lost, if no response is left for the error handlers. */
export function warnOfLoss(error: unknown): void {
  process.emitWarning(
    `memcache-ts: a session could not be stored after its client had disconnected, so its last changes are lost: ${(error as Error).message}`,
  )
}

async function allDone(outcomes: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(outcomes)) if (outcome.status === 'rejected') throw outcome.reason
}

/** Returns the error that the application receives. Errors of another kind of store are returned as they are. */
export function explained(
  { down }: { readonly down: CacheDown | undefined },
  error: unknown,
  step: SessionStep,
): unknown {
  return down === undefined || !isError(error) ? error : down.explain(error, step)
}
