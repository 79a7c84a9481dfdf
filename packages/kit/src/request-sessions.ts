/** Shared by all copies of this package in a process: a property that no client can send. */
const SESSIONS = Symbol.for('memcache-ts.sessions')

/** Returns the sessions of a request that are not in its property `session`, by the names of their properties. */
export function sessionsOf(request: object): Map<string, object> {
  const holder = request as { [SESSIONS]?: Map<string, object> }
  return (holder[SESSIONS] ??= new Map())
}

/** Returns the properties of a request that have these sessions. */
export function sessionNames(request: object): Iterable<string> {
  return (request as { [SESSIONS]?: Map<string, object> })[SESSIONS]?.keys() ?? []
}
