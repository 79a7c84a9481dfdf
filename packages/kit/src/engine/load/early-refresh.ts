/** The part of a second lifetime that memcached may take off, since its seconds are whole. */
const GRAIN_SECONDS = 1

/**
 * Until when a value that is stored now is there for sure, in milliseconds since 1970: memcached's seconds are whole, so
 * that up to one of them is missing.
 */
export function surelyFreshUntilMs(nowMs: number, ttlSeconds: number): number {
  return nowMs + (ttlSeconds - Math.min(GRAIN_SECONDS, ttlSeconds / 2)) * 1000
}

/**
 * XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): whether this
 * caller is to load a value before its end. The nearer the end, and the slower the loader, the likelier.
 */
export function isDueEarly(loadMs: number, freshUntilMs: number, beta: number, nowMs: number): boolean {
  return nowMs - loadMs * beta * Math.log(Math.random()) >= freshUntilMs
}
