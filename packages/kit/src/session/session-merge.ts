/** A session's data as JSON has it. */
export type SessionData = Record<string, unknown>

/** Whether a request changed what is under a top-level key of its session. */
export type HasChanged = (key: string, before: unknown, after: unknown) => boolean

/** The cookie of a session is taken whole: an end of one request's and an original age of another's make no lifetime. */
const WHOLE = 'cookie'

/**
 * Merges two changes of one session by path: of requests that write different properties at once, in nested objects
 * too, none is lost, and a request that wrote nothing takes nothing back. Where both changed one value, an array as a
 * whole, mine is the later one and wins. An object that one of them deleted stays deleted, though the other one changed
 * something in it.
 */
export function mergeSessions(
  base: SessionData,
  mine: SessionData,
  theirs: SessionData,
  hasChanged: HasChanged = differsAsJson,
): SessionData {
  return merge({ base, mine, theirs }, hasChanged, true)
}

interface Sides {
  readonly base: SessionData
  readonly mine: SessionData
  readonly theirs: SessionData
}

function merge({ base, mine, theirs }: Sides, hasChanged: HasChanged, isRoot: boolean): SessionData {
  const merged: [string, unknown][] = []
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [before, own, other] = [valueOf(base, key), valueOf(mine, key), valueOf(theirs, key)]
    if (!hasChanged(key, before, other)) {
      if (Object.hasOwn(mine, key)) merged.push([key, own])
    } else if (!hasChanged(key, before, own)) {
      if (Object.hasOwn(theirs, key)) merged.push([key, other])
    } else if (isObject(own) && isObject(other) && !(isRoot && key === WHOLE)) {
      const sides = { base: isObject(before) ? before : {}, mine: own, theirs: other }
      merged.push([key, merge(sides, differsAsJson, false)])
    } else if (Object.hasOwn(mine, key)) {
      const isTouchOfDeleted = !Object.hasOwn(theirs, key) && isObject(before) && isObject(own)
      if (!isTouchOfDeleted) merged.push([key, own])
    }
  }
  // Not by assignment, to which `__proto__` is no key.
  return Object.fromEntries(merged)
}

/** Whether two values are not the same as JSON. */
export function differsAsJson(_key: string, before: unknown, after: unknown): boolean {
  return JSON.stringify(before) !== JSON.stringify(after)
}

function isObject(value: unknown): value is SessionData {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function valueOf(data: SessionData, key: string): unknown {
  return Object.hasOwn(data, key) ? data[key] : undefined
}
