import { MemcacheOptionError } from 'memcache-ts'

/**
 * A session without its cookie, as JSON: what tells whether a request has changed it.
 * @throws MemcacheOptionError for what cannot be JSON.
 */
export function textOf(session: { readonly cookie?: unknown }): string {
  const { cookie: _, ...data } = session
  try {
    return JSON.stringify(data)
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    throw new MemcacheOptionError(`the session cannot be stored: it has to be JSON (${reason})`, { cause })
  }
}
