import type { SessionStep } from './session-errors.ts'
import { isError } from './session.ts'
import type { Callback } from './session.ts'

/** The kinds of writes: the loss of a renewed lifetime is harmless, a session that was not destroyed is a danger. */
export type WriteKind = 'save' | 'destroy' | 'renewal'

/** What a write does, as messages call it. */
export const STEPS = { save: 'saved', destroy: 'destroyed', renewal: 'saved' } as const satisfies Record<
  WriteKind,
  SessionStep
>

/** A write that is under way, or has failed without anybody being told. */
interface PendingWrite {
  readonly kind: WriteKind
  readonly outcome: Promise<void>
}

/** A write of a session, and the caller that is told its outcome. */
export interface SessionWrite {
  readonly kind: WriteKind
  /** Starts the write, which calls back when it is done. */
  start(done: Callback): void
  /** The application's callback, if it has given one. */
  readonly callback: Callback | undefined
  /** Whether the caller takes note of a failure; if not, it counts for the response. */
  isAttended(): boolean
}

/** The writes of one request that its response waits for: those under way, and those whose failure nobody was told. */
export class PendingWrites {
  readonly #writes = new Set<PendingWrite>()

  get size(): number {
    return this.#writes.size
  }

  /**
   * Starts a write and remembers it until it is done, or, if nobody is told that it failed, until the response is
   * ended.
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

  /** Runs a step once the earlier writes are done: a session is not destroyed before it is saved. */
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

  /** Waits for the writes that have been started until now, whatever becomes of them. */
  async earlier(): Promise<void> {
    await Promise.allSettled(Array.from(this.#writes, ({ outcome }) => outcome))
  }

  /**
   * Waits for the writes that have been started, and forgets them.
   *
   * @param onFailure told of each write that failed; the promise rejects with the first error that it throws, once all
   *   writes are done: a new id that is on its way decides about the cookie of the error's response.
   */
  settle(onFailure: (error: unknown, kind: WriteKind) => void): Promise<unknown> {
    const outcomes = Array.from(this.#writes, ({ kind, outcome }) =>
      outcome.catch((error: unknown) => onFailure(error, kind)),
    )
    this.#writes.clear()
    // Most requests write once.
    return outcomes.length === 1 ? outcomes[0]! : allDone(outcomes)
  }

  /** The outcome of the writes that a step starts. */
  async #outcomeOf(step: () => void): Promise<void> {
    const before = new Set(this.#writes)
    step()
    await Promise.all(Array.from(this.#writes, async (write) => (before.has(write) ? undefined : write.outcome)))
  }
}

/** Tells the operator of a session that was lost, if there is no response left for error handlers. */
export function warnOfLoss(error: unknown): void {
  process.emitWarning(`memcache-ts: a session was not stored after its client had left: ${(error as Error).message}`)
}

async function allDone(outcomes: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(outcomes)) if (outcome.status === 'rejected') throw outcome.reason
}
