import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MemcacheOptionError } from '../src/errors.ts'
import { exptimeOf, secondsToTtl, ttlToSeconds, warnOfSeconds } from '../src/ttl.ts'
import type { Ttl } from '../src/ttl.ts'

describe('ttlToSeconds', () => {
  it.each<[Ttl, number]>([
    [60, 60],
    [0.5, 0.5],
    ['30s', 30],
    ['5m', 300],
    ['2h', 7200],
    ['7d', 604_800],
    ['60d', 5_184_000],
    [Infinity, Infinity],
  ])('reads %j as %d seconds', (ttl, seconds) => {
    expect(ttlToSeconds(ttl)).toBe(seconds)
  })

  it.each<Ttl>([0, -1, NaN, 3_600_000, '0s', '5min' as Ttl, '' as Ttl, '-1s' as Ttl])('refuses %j', (ttl) => {
    expect(() => ttlToSeconds(ttl)).toThrow(MemcacheOptionError)
  })

  it('names the seconds to write instead of milliseconds', () => {
    expect(() => ttlToSeconds(3_600_000)).toThrow("ttlSeconds is in seconds and 3600000 is over 30 days; write '42d'")
  })

  it('does not compile units that it does not know', () => {
    // @ts-expect-error 'min' is no unit
    expect(() => ttlToSeconds('5min')).toThrow('5min')
  })
})

describe('exptimeOf', () => {
  it('is relative up to 30 days, a Unix time beyond, and 0 for ever', () => {
    expect(exptimeOf(60, 1_000_000_000_000)).toBe(60)
    expect(exptimeOf(2_592_000, 1_000_000_000_000)).toBe(2_592_000)
    expect(exptimeOf(2_592_001, 1_000_000_000_500)).toBe(1_002_592_001)
    expect(exptimeOf(Infinity, 1_000_000_000_000)).toBe(0)
  })

  it('rounds up, so that no item expires early', () => {
    expect(exptimeOf(0.2, 0)).toBe(1)
  })
})

describe('seconds as a lifetime', () => {
  it('are converted back to the same seconds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 1, max: 10 ** 9 }), fc.constant(Infinity)), (seconds) => {
        expect(ttlToSeconds(secondsToTtl(seconds))).toBe(seconds)
      }),
    )
  })

  it('need a unit only over 30 days, since such numbers are refused', () => {
    expect([secondsToTtl(2_592_000), secondsToTtl(2_592_001)]).toEqual([2_592_000, '2592001s'])
    for (const seconds of [1e20, 1e21, 1e300, Number.MAX_VALUE]) {
      expect(exptimeOf(ttlToSeconds(secondsToTtl(seconds)), 0)).toBe(seconds < 1e21 ? seconds : 0)
    }
  })
})

describe('bare numbers that look like milliseconds', () => {
  function warningsOf(ttl: Ttl): unknown[] {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    expect(ttlToSeconds(ttl, 'ttlSeconds')).toBeGreaterThan(0)
    const warnings = warn.mock.calls.map(([message]) => message)
    warn.mockRestore()
    return warnings
  }

  it.each([
    [
      300_000,
      "ttlSeconds is in seconds, and 300000 is 3.5 days: write 300 if it was milliseconds, or '300000s' if that is intended",
    ],
    [
      60_000,
      "ttlSeconds is in seconds, and 60000 is 16.7 hours: write 60 if it was milliseconds, or '60000s' if that is intended",
    ],
    [
      900_000,
      "ttlSeconds is in seconds, and 900000 is 10.4 days: write 900 if it was milliseconds, or '900000s' if that is intended",
    ],
  ])('warn once: %d', (ttl, message) => {
    expect(warningsOf(ttl)).toEqual([message])
    expect(warningsOf(ttl)).toEqual([])
  })

  it.each<Ttl>([36_000, 72_000, 86_400, 432_000, 864_000, 2_592_000, 5000, 90_061, '300000s', Infinity])(
    'and seconds that do not are taken as they are: %j',
    (ttl) => expect(warningsOf(ttl)).toEqual([]),
  )

  it.each([900, 1800, 3600, 43_200, 86_400, 604_800, 60, 300])(
    'and milliseconds that look like seconds are warned of once: %d',
    (ms) => {
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      warnOfSeconds('windowMs', ms)
      warnOfSeconds('windowMs', ms)
      const warnings = warn.mock.calls.map(([message]) => message)
      warn.mockRestore()
      // At most ten times are remembered, those of the other tests too.
      expect(warnings.length).toBeLessThan(2)
      for (const message of warnings) expect(message).toContain(`write ${ms * 1000} if it was seconds`)
    },
  )

  it('are whole seconds and minutes in milliseconds as they are', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    for (let seconds = 1; seconds <= 86_400; seconds++) warnOfSeconds('windowMs', seconds * 1000)
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })

  it('are not reported if a lifetime was computed', () => {
    for (let seconds = 1000; seconds <= 2_592_000; seconds += 1000)
      expect(warningsOf(secondsToTtl(seconds))).toEqual([])
  })
})
