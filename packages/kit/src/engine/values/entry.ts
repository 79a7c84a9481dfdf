/** What the kit knows of a value besides the value. */
export interface EntryFacts {
  /** How long the loader took, in milliseconds; kept for early refreshes. */
  readonly loadMs?: number | undefined
  /** Until when it is fresh, in milliseconds since 1970; where it is not told by the item's remaining time. */
  readonly freshUntilMs?: number | undefined
  /** The generations that its tags had when its load began, by the tags' keys. */
  readonly tags?: Readonly<Record<string, number>> | undefined
}

/** A value that is stored with what the kit must know of it. */
export class Entry {
  readonly value: unknown
  readonly facts: EntryFacts

  constructor(value: unknown, facts: EntryFacts) {
    this.value = value
    this.facts = facts
  }
}

/** An item's value, whether it lies in an entry or bare. */
export function valueOf(stored: unknown): unknown {
  return stored instanceof Entry ? stored.value : stored
}

const NOTHING: EntryFacts = {}

/** What is known of an item's value; of a bare one nothing. */
export function factsOf(stored: unknown): EntryFacts {
  return stored instanceof Entry ? stored.facts : NOTHING
}
