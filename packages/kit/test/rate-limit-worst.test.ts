import { describe, expect, it } from 'vitest'
import { rateLimiter } from '../src/index.ts'
import type { RateLimitAlgorithm } from '../src/rate-limit/index.ts'
import { openCache } from './open-cache.ts'

const LIMIT = 100
const WINDOW_MS = 60_000

/** The times of the calls of one client, in milliseconds from the start of a window. */
type Arrivals = Iterable<number>

/** A burst at the end of a window, and from then on a call every 100 ms, with a burst at each seam. */
function* atTheSeams(): Arrivals {
  for (let call = 0; call < LIMIT; call++) yield WINDOW_MS - 1
  for (let at = WINDOW_MS; at < 3 * WINDOW_MS; at += 100) {
    yield at
    if (at % WINDOW_MS === 0) for (let call = 0; call < LIMIT; call++) yield at
  }
}

/** One call, the others at the end of the window that it starts, and as many at once when that is over. */
function* atTheEnd(): Arrivals {
  yield 0
  for (let call = 1; call < LIMIT; call++) yield WINDOW_MS - 1
  for (let call = 0; call < LIMIT; call++) yield WINDOW_MS
}

/** Calls at random, so many a window on average; the same ones every time. */
function* poisson(perWindow: number, windows: number): Arrivals {
  let state = 1
  let at = 0
  while (at < windows * WINDOW_MS) {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0
    at += (-Math.log((state + 1) / 2 ** 32) * WINDOW_MS) / perWindow
    yield Math.floor(at)
  }
}

/** How many calls a limiter admits, at most, in any stretch of time as long as its window. */
async function worst(algorithm: RateLimitAlgorithm, arrivals: Arrivals, burst?: number): Promise<number> {
  await using test = await openCache()
  const limiter = rateLimiter({ limit: LIMIT, windowMs: WINDOW_MS, algorithm, burst, cache: test.cache })
  const start = test.clock.nowMs() - (test.clock.nowMs() % WINDOW_MS) + WINDOW_MS
  const admitted: number[] = []
  let from = 0
  let most = 0
  for (const at of arrivals) {
    test.clock.advanceMs(start + at - test.clock.nowMs())
    const { allowed } = await limiter.consume('client')
    if (!allowed) continue
    admitted.push(at)
    while (at - admitted[from]! >= WINDOW_MS) from++
    most = Math.max(most, admitted.length - from)
  }
  return most
}

describe('the worst minute of a limit of 100 a minute', () => {
  it.each([
    ['fixed', undefined, 199, atTheEnd],
    ['sliding', undefined, 199, atTheSeams],
    ['gcra', undefined, LIMIT + LIMIT - 1, atTheSeams],
    ['gcra', 10, 10 + LIMIT - 1, atTheSeams],
  ] as const)('%s, burst %s: %i for a client that knows the seams', async (algorithm, burst, most, arrivals) => {
    expect(await worst(algorithm, arrivals(), burst)).toBe(most)
  })

  it.each([
    ['fixed', 110, 137],
    ['sliding', 110, 117],
    ['sliding', 500, 102],
  ] as const)('%s: when %i calls a minute come at random, %i', async (algorithm, perMinute, most) => {
    expect(await worst(algorithm, poisson(perMinute, 200))).toBe(most)
  })
})
