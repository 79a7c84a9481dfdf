/** A request that the service refused; the message is the detail of the problem document. */
export class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** The service did not answer at all. */
export class Away extends Error {}

/**
 * Hears of every answer: `answer`, `limit` { left, of, resetSeconds } and, when it has a timing, `timing` { path, dbMs,
 * cacheMs }.
 */
export const answers = new EventTarget()

/**
 * Requests the service; returns the body of the response, and how long the database (null: not used) and the cache
 * took.
 */
export async function ask(path, { method = 'GET', body, signal, countTime = true } = {}) {
  const response = await reach(path, {
    method,
    cache: 'no-store',
    ...(signal && { signal }),
    ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  })
  tell('answer')
  const limit = limitOf(response.headers)
  if (limit) tell('limit', limit)
  const answer = await response.json().catch(() => undefined)
  if (!response.ok || answer === undefined) {
    // A proxy in between answers with a page of its own.
    const unexplained = `The service answered ${response.status}, without an explanation. Try again in a while.`
    throw new Refused(response.status, answer?.detail ?? answer?.title ?? unexplained)
  }
  const timing = { path, ...timingOf(response.headers) }
  if (countTime) tell('timing', timing)
  return { answer, timing }
}

async function reach(path, options) {
  try {
    return await fetch(path, options)
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Away('The service does not answer. This page tries again every two seconds.')
  }
}

function tell(type, detail) {
  answers.dispatchEvent(new CustomEvent(type, { detail }))
}

/** `Server-Timing: db;dur=71.3, cache;dur=0.4` */
function timingOf(headers) {
  const durations = new Map()
  for (const [, name, ms] of (headers.get('Server-Timing') ?? '').matchAll(/(\w+);dur=([\d.]+)/g)) {
    durations.set(name, Number(ms))
  }
  return { dbMs: durations.get('db') ?? null, cacheMs: durations.get('cache') ?? 0 }
}

/** `RateLimit: "default";r=50;t=30` and `RateLimit-Policy: "default";q=100;w=60` */
function limitOf(headers) {
  const now = /;r=(\d+)(?:;t=(\d+))?/.exec(headers.get('RateLimit') ?? '')
  const policy = /;q=(\d+)/.exec(headers.get('RateLimit-Policy') ?? '')
  return now && { left: Number(now[1]), of: Number(policy?.[1] ?? 100), resetSeconds: Number(now[2] ?? 0) }
}
