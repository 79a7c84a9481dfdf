/** Who holds a slot, or waits for one, and until when that is believed. */
type Lease = readonly [token: string, untilMs: number]

/** What is stored of an id: the leases of its slots, and of those that wait, the first one first. */
export interface ConcurrencyState {
  readonly slots: readonly Lease[]
  readonly waiting: readonly Lease[]
}

export const NOBODY: ConcurrencyState = { slots: [], waiting: [] }

/** What one process wants of an id. */
export interface Wishes {
  readonly held: readonly string[]
  readonly released: readonly string[]
  /** In the order in which they came; `mayWait` is false for one that wants a slot at once or none. */
  readonly wanted: readonly { readonly token: string; readonly mayWait: boolean }[]
}

/** How slots are given. */
export interface ConcurrencyRules {
  readonly max: number
  /** How many may wait, of all processes together. */
  readonly queue: number
  readonly leaseMs: number
  /** How long a process that waits is believed to live when it does not ask again, in milliseconds. */
  readonly waitLeaseMs: number
}

/** The state after a process's turn, and what its wishes came to. */
export interface ConcurrencyTurn {
  readonly state: ConcurrencyState
  readonly granted: ReadonlySet<string>
  readonly refused: ReadonlySet<string>
  /** Whether it has to be stored: if not, all that it would do is renew what is far from its end. */
  readonly isChange: boolean
  /** Slots that were taken from their holder, since it did not renew them in time. */
  readonly lost: ReadonlySet<string>
}

/**
 * One process's turn at the state of an id: leases that have ended are dropped, what it holds is renewed, what it
 * released is free, and slots go to those that have waited longest, of all processes.
 */
export function takeTurn(
  before: ConcurrencyState,
  wishes: Wishes,
  rules: ConcurrencyRules,
  nowMs: number,
): ConcurrencyTurn {
  const held = new Set(wishes.held)
  const gone = new Set([...wishes.released, ...held])
  const known = new Set(before.slots.map(([token]) => token))
  // A holder that is still there keeps its slot, though its lease may have ended and been given to another: it runs all
  // the same.
  const slots: Lease[] = [
    ...wishes.held.map((token): Lease => [token, nowMs + rules.leaseMs]),
    ...before.slots.filter(([token, untilMs]) => !gone.has(token) && isAlive(untilMs, nowMs, rules.leaseMs)),
  ]
  const lost = new Set(wishes.held.filter((token) => !known.has(token) && before.slots.length >= rules.max))
  const ours = new Map(wishes.wanted.map((want) => [want.token, want]))
  const line = before.waiting.filter(
    ([token, untilMs]) => !gone.has(token) && (ours.has(token) || isAlive(untilMs, nowMs, rules.waitLeaseMs)),
  )
  const inLine = new Set(line.map(([token]) => token))
  const newcomers = wishes.wanted.filter(({ token }) => !inLine.has(token))
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
    wishes.released.length > 0 ||
    wishes.held.some((token) => !known.has(token)) ||
    before.slots.some(isDue) ||
    before.waiting.some(isDue)
  return { state: { slots, waiting }, granted, refused, lost, isChange }
}

/** What is stored, if it is a state; anything else is nobody. */
export function stateOf(stored: unknown): ConcurrencyState {
  if (typeof stored !== 'object' || stored === null) return NOBODY
  const { slots, waiting } = stored as Partial<ConcurrencyState>
  return isLeases(slots) && isLeases(waiting) ? { slots, waiting } : NOBODY
}

/** A lease from far in the future is from before the clock was set back. */
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
