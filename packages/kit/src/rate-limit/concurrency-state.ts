/** A call that holds or waits for a slot, and the end of its lease. */
type Lease = readonly [token: string, untilMs: number]

/** The stored state of an id: the leases of its slots and of its waiting calls, the oldest first. */
export interface ConcurrencyState {
  /** The time when it was stored, by the clock of its process; 0 if it is not known. */
  readonly atMs: number
  readonly slots: readonly Lease[]
  readonly waiting: readonly Lease[]
}

export const EMPTY_STATE: ConcurrencyState = { atMs: 0, slots: [], waiting: [] }

/** The requests of one process for an id. */
export interface TurnRequests {
  readonly held: readonly string[]
  readonly released: readonly string[]
  /** Calls without a slot, in their order; `mayWait` is false if the call wants a slot immediately or not at all. */
  readonly wanted: readonly { readonly token: string; readonly mayWait: boolean }[]
}

/** The requests of a process, with the time of its turn. */
export interface DatedRequests {
  readonly requests: TurnRequests
  readonly nowMs: number
}

/** The rules by which slots are given. */
export interface ConcurrencyRules {
  readonly max: number
  /** How many calls may wait, in all processes together. */
  readonly queue: number
  readonly leaseMs: number
  /** How long the place of a waiting process is kept if it does not poll again, in milliseconds. */
  readonly waitLeaseMs: number
}

/** The state after a process's turn, and the results for its calls. */
export interface ConcurrencyTurn {
  readonly state: ConcurrencyState
  readonly granted: ReadonlySet<string>
  readonly refused: ReadonlySet<string>
  /** Whether the state has to be stored. If not, storing it would only renew leases that are far from their end. */
  readonly isChange: boolean
  /** Slots that their holder has lost, since it did not renew them in time. */
  readonly lost: ReadonlySet<string>
}

/**
 * Takes one process's turn at the state of an id: drops leases that have ended, renews the process's slots, frees the
 * slots that it released, and gives free slots to the calls of all processes that have waited longest.
 */
export function takeTurn(
  before: ConcurrencyState,
  { requests, nowMs }: DatedRequests,
  rules: ConcurrencyRules,
): ConcurrencyTurn {
  const held = new Set(requests.held)
  const gone = new Set([...requests.released, ...held])
  const known = new Set(before.slots.map(([token]) => token))
  // A holder that is still running keeps its slot, even if its lease has ended and the slot was given to another call:
  // both run anyway.
  const slots: Lease[] = [
    ...requests.held.map((token): Lease => [token, nowMs + rules.leaseMs]),
    ...before.slots.filter(([token, untilMs]) => !gone.has(token) && isAlive(untilMs, nowMs, rules.leaseMs)),
  ]
  const lost = new Set(requests.held.filter((token) => !known.has(token) && before.slots.length >= rules.max))
  const ours = new Map(requests.wanted.map((want) => [want.token, want]))
  const line = before.waiting.filter(
    ([token, untilMs]) => !gone.has(token) && (ours.has(token) || isAlive(untilMs, nowMs, rules.waitLeaseMs)),
  )
  const inLine = new Set(line.map(([token]) => token))
  const newcomers = requests.wanted.filter(({ token }) => !inLine.has(token))
  const granted = new Set<string>()
  const refused = new Set<string>()
  const waiting: Lease[] = []
  for (const [token, untilMs] of [...line, ...newcomers.map(({ token }): Lease => [token, 0])]) {
    const own = ours.get(token)
    const free = rules.max - slots.length
    if (own !== undefined && waiting.length < free) {
      slots.push([token, nowMs + rules.leaseMs])
      granted.add(token)
    } else if (own === undefined) {
      waiting.push([token, untilMs])
    } else if (inLine.has(token) || (own.mayWait && waiting.length < rules.queue)) {
      waiting.push([token, nowMs + rules.waitLeaseMs])
    } else {
      refused.add(token)
    }
  }
  const isDue = ([token, untilMs]: Lease): boolean =>
    (held.has(token) && untilMs - nowMs < (rules.leaseMs * 3) / 4) ||
    (ours.has(token) && untilMs - nowMs < rules.waitLeaseMs / 2)
  const isChange =
    slots.length !== before.slots.length ||
    waiting.length !== before.waiting.length ||
    granted.size > 0 ||
    requests.released.length > 0 ||
    requests.held.some((token) => !known.has(token)) ||
    before.slots.some(isDue) ||
    before.waiting.some(isDue)
  return { state: { atMs: nowMs, slots, waiting }, granted, refused, lost, isChange }
}

/** Parses a stored state; an invalid one counts as empty. */
export function stateOf(stored: unknown): ConcurrencyState {
  if (typeof stored !== 'object' || stored === null) return EMPTY_STATE
  const { atMs, slots, waiting } = stored as Partial<ConcurrencyState>
  if (!isLeases(slots) || !isLeases(waiting)) return EMPTY_STATE
  return { atMs: Number.isSafeInteger(atMs) ? atMs! : 0, slots, waiting }
}

/**
 * Returns the state with leases that began now, if by this clock it was stored so long ago that the server would have
 * dropped it: then this clock is ahead of the clocks of the other processes, whose leases must not end because of
 * that.
 *
 * @param keptMs how long the server keeps a state, at most.
 */
export function withCurrentLeases(state: ConcurrencyState, nowMs: number, keptMs: number): ConcurrencyState {
  const ageMs = nowMs - state.atMs
  if (state.atMs === 0 || ageMs <= keptMs) return state
  const moved = ([token, untilMs]: Lease): Lease => [token, untilMs + ageMs]
  return { atMs: nowMs, slots: state.slots.map(moved), waiting: state.waiting.map(moved) }
}

/** Returns whether a lease is valid. A lease that ends too far in the future was created before the clock was set back. */
function isAlive(untilMs: number, nowMs: number, leaseMs: number): boolean {
  return untilMs > nowMs && untilMs <= nowMs + 2 * leaseMs
}

function isLeases(value: unknown): value is Lease[] {
  return (
    Array.isArray(value) &&
    value.every(
      (lease: unknown) => Array.isArray(lease) && typeof lease[0] === 'string' && typeof lease[1] === 'number',
    )
  )
}
