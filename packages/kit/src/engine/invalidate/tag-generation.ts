/** The lifetime of a tag that is not raised, in seconds: 30 days, the longest relative exptime of memcached. */
export const TAG_SECONDS = 2_592_000

/** Raising a generation by this step makes the values that carry it invalid. */
export const HARD_STEP = 65_536
/** Raising a generation by this step only makes the values that carry it stale. */
export const SOFT_STEP = 1

const RANDOM_SPAN = 2 ** 52

/**
 * Returns a generation for a new tag. It is random, so that an evicted tag does not come back with a generation that it
 * had before, whatever the clocks of the processes say.
 */
export function newGeneration(): number {
  return Math.floor(Math.random() * RANDOM_SPAN)
}

/** Returns the state of a value that carries one generation, when its tag has the current one. */
export function compareGenerations(carried: number, current: number): 'same' | 'stale' | 'invalid' {
  if (carried === current) return 'same'
  return Math.floor(carried / HARD_STEP) === Math.floor(current / HARD_STEP) ? 'stale' : 'invalid'
}
