import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LongTimer } from '../src/index.ts'

const DAY_MS = 86_400_000

describe('a timer of any length', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it.each([1, 500, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 30 * DAY_MS, 100 * DAY_MS])(
    'fires after %d ms, once',
    (delayMs) => {
      const fired = vi.fn()
      const timer = new LongTimer(fired, delayMs)
      vi.advanceTimersByTime(delayMs - 1)
      expect(fired).not.toHaveBeenCalled()
      vi.advanceTimersByTime(1)
      expect(fired).toHaveBeenCalledTimes(1)
      timer.clear()
      vi.advanceTimersByTime(200 * DAY_MS)
      expect(fired).toHaveBeenCalledTimes(1)
      timer.clear()
    },
  )

  it.each([500, 2 ** 31, 100 * DAY_MS])('of %d ms does not fire once it is cleared', (delayMs) => {
    const fired = vi.fn()
    const timer = new LongTimer(fired, delayMs)
    vi.advanceTimersByTime(delayMs - 1)
    timer.clear()
    vi.advanceTimersByTime(200 * DAY_MS)
    expect(fired).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('never fires after Infinity, and keeps no timer', () => {
    new LongTimer(() => expect.fail('fired'), Infinity).unref().clear()
    expect(vi.getTimerCount()).toBe(0)
  })
})
