/** How long a tag is kept that nothing raises: the longest that memcached counts by its own clock, in seconds. */
export const TAG_SECONDS = 2_592_000

/** Raising a generation by this makes what carries it invalid; by 1, just stale. */
export const HARD_STEP = 65_536
export const SOFT_STEP = 1

const RANDOM_SPAN = 2 ** 52

/**
 * A generation for a tag that there is none of: by chance, so that an evicted tag never comes back with one that it has had,
 * whatever the clocks of the processes say.
 */
export function newGeneration(): number {
  return Math.floor(Math.random() * RANDOM_SPAN)
}

/** What became of a value that carries the one, when its tag has the other. */
export function compareGenerations(carried: number, current: number): 'same' | 'stale' | 'invalid' {
  if (carried === current) return 'same'
  return Math.floor(carried / HARD_STEP) === Math.floor(current / HARD_STEP) ? 'stale' : 'invalid'
}
