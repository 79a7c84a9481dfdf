/** A session's data as JSON has it. */
export type SessionData = Record<string, unknown>

/** Whether a request changed what is under a top-level key of its session. */
export type HasChanged = (key: string, before: unknown, after: unknown) => boolean

/**
 * Merges two changes of one session by top-level key: what only `theirs` changed is theirs, everything else is mine. So of
 * requests that write different keys at once none is lost, and a request that wrote nothing takes nothing back.
 */
export function mergeSessions(
  base: SessionData,
  mine: SessionData,
  theirs: SessionData,
  hasChanged: HasChanged = differsAsJson,
): SessionData {
  const merged: [string, unknown][] = []
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const before = own(base, key)
    const isTheirs = !hasChanged(key, before, own(mine, key)) && hasChanged(key, before, own(theirs, key))
    const taken = isTheirs ? theirs : mine
    if (Object.hasOwn(taken, key)) merged.push([key, taken[key]])
  }
  // Not by assignment, to which `__proto__` is no key.
  return Object.fromEntries(merged)
}

/** Whether two values are not the same as JSON. */
export function differsAsJson(_key: string, before: unknown, after: unknown): boolean {
  return JSON.stringify(before) !== JSON.stringify(after)
}

function own(data: SessionData, key: string): unknown {
  return Object.hasOwn(data, key) ? data[key] : undefined
}
