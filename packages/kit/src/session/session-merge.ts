/** A session's data as JSON has it. */
export type SessionData = Record<string, unknown>

/**
 * Merges two changes of one session by top-level key: what only `theirs` changed is theirs, what `mine` changed is mine.
 * So of requests that write different keys at once none is lost, and a request that wrote nothing takes nothing back.
 */
export function mergeSessions(base: SessionData, mine: SessionData, theirs: SessionData): SessionData {
  const merged: SessionData = { ...theirs }
  for (const key of new Set([...Object.keys(base), ...Object.keys(mine)])) {
    if (sameJson(base[key], mine[key])) continue
    if (Object.hasOwn(mine, key)) merged[key] = mine[key]
    else delete merged[key]
  }
  return merged
}

/** Whether two values are the same as JSON. */
function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
