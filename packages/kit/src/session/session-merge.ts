/** The data of a session, as parsed from JSON. */
export type SessionData = Record<string, unknown>

/** Returns whether a request changed the value of a top-level key of its session. */
export type HasChanged = (key: string, before: unknown, after: unknown) => boolean

/**
 * The cookie is not merged by property: `expires` of one request and `originalMaxAge` of another would contradict each
 * other.
 */
const WHOLE = 'cookie'

/**
 * Merges two changes of one session by path. If parallel requests write different properties, in nested objects too, no
 * change is lost, and a request that changed nothing reverts nothing. If both changed the same value (an array counts
 * as one value), `mine` is the later one and wins. An object that one of them deleted stays deleted, even if the other
 * changed a property of it.
 */
export function mergeSessions(sides: Sides, hasChanged: HasChanged = differsAsJson): SessionData {
  return merge(sides, hasChanged, WHOLE)
}

interface Sides {
  /** The session before both changes. */
  readonly base: SessionData
  readonly mine: SessionData
  readonly theirs: SessionData
}

/** @param whole the key of a value that is not merged by property. */
function merge({ base, mine, theirs }: Sides, hasChanged: HasChanged, whole?: string): SessionData {
  const merged: [string, unknown][] = []
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [before, own, other] = [valueOf(base, key), valueOf(mine, key), valueOf(theirs, key)]
    if (!hasChanged(key, before, other)) {
      if (Object.hasOwn(mine, key)) merged.push([key, own])
    } else if (!hasChanged(key, before, own)) {
      if (Object.hasOwn(theirs, key)) merged.push([key, other])
    } else if (isObject(own) && isObject(other) && key !== whole) {
      const sides = { base: isObject(before) ? before : {}, mine: own, theirs: other }
      merged.push([key, merge(sides, differsAsJson)])
    } else if (Object.hasOwn(mine, key)) {
      const isTouchOfDeleted = !Object.hasOwn(theirs, key) && isObject(before) && isObject(own)
      if (!isTouchOfDeleted) merged.push([key, own])
    }
  }
  // An assignment to `__proto__` would set the prototype instead of a property.
  return Object.fromEntries(merged)
}

/** Returns whether two values differ as JSON. */
export function differsAsJson(_key: string, before: unknown, after: unknown): boolean {
  return JSON.stringify(before) !== JSON.stringify(after)
}

function isObject(value: unknown): value is SessionData {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function valueOf(data: SessionData, key: string): unknown {
  return Object.hasOwn(data, key) ? data[key] : undefined
}
