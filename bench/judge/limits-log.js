/** How far the time that a caller notes may be from that at which its call was counted, in milliseconds. */
const CLOCK_MS = 8

/**
 * How many windows of an exact log of calls have more than a limit.
 *
 * @param log `{ atMs, cost, allowed, resetMs }` of each call, from all processes.
 */
export function logFaults(algorithm, { limit, windowMs }, log) {
  const admitted = log.filter(({ allowed }) => allowed).sort((a, b) => a.atMs - b.atMs)
  if (algorithm === 'fixed') return fixedFaults(limit, windowMs, admitted)
  if (algorithm === 'gcra') return gcraFaults(limit, windowMs, admitted)
  return slidingFaults(limit, windowMs, admitted)
}

/**
 * The reported end of a window shows to which window a call belongs: around the end, calls of two windows arrive in any
 * order.
 */
function fixedFaults(limit, windowMs, admitted) {
  const calls = admitted.map(({ atMs, cost, resetMs }) => ({ endMs: atMs + resetMs, cost }))
  let faults = 0
  let windowEndMs = -Infinity
  let used = 0
  for (const { endMs, cost } of calls.sort((a, b) => a.endMs - b.endMs)) {
    if (endMs - windowEndMs > CLOCK_MS) {
      if (endMs - windowEndMs < windowMs - CLOCK_MS) faults++
      windowEndMs = endMs
      used = 0
    }
    used += cost
    if (used > limit) faults++
  }
  return faults
}

/** Windows are aligned; a call so near to the end of one that it may be of the next counts in neither. */
function slidingFaults(limit, windowMs, admitted) {
  const used = new Map()
  for (const { atMs, cost } of admitted) {
    const elapsedMs = atMs % windowMs
    if (elapsedMs < CLOCK_MS || elapsedMs > windowMs - CLOCK_MS) continue
    const index = Math.floor(atMs / windowMs)
    used.set(index, (used.get(index) ?? 0) + cost)
  }
  return [...used.values()].filter((count) => count > limit).length
}

/** In any time, the burst and what came evenly. */
function gcraFaults(limit, windowMs, admitted) {
  let faults = 0
  for (let from = 0; from < admitted.length; from++) {
    let used = 0
    for (let to = from; to < admitted.length; to++) {
      used += admitted[to].cost
      const elapsedMs = admitted[to].atMs - admitted[from].atMs + CLOCK_MS
      if (used > limit + (elapsedMs * limit) / windowMs) faults++
    }
  }
  return faults
}
