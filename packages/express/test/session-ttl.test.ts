import { describe, expect, it } from 'vitest'
import { restoreExpires, sessionTtl } from '../src/session-ttl.ts'

const now = Date.parse('2026-01-01T00:00:00Z')

describe('sessionTtl', () => {
  it.each([
    [undefined, '60s'],
    [{}, '60s'],
    [{ expires: null }, '60s'],
    [{ expires: new Date(NaN) }, '60s'],
    [{ expires: 'no date' }, '60s'],
    [{ expires: new Date(now + 1) }, '1s'],
    [{ expires: new Date(now + 2001) }, '3s'],
    [{ expires: new Date(now + 400 * 86_400_000).toISOString() }, '34560000s'],
    [{ expires: new Date(now) }, undefined],
    [{ expires: new Date(now - 1) }, undefined],
  ])('%j is %s', (cookie, ttl) => {
    expect(sessionTtl(cookie, 60, now)).toBe(ttl)
  })
})

describe('restoreExpires', () => {
  it.each([
    ['2020-01-01T00:00:00Z', 90, new Date(now + 90_000)],
    ['2020-01-01T00:00:00Z', 0, new Date(now + 1000)],
    ['2020-01-01T00:00:00Z', Infinity, '2020-01-01T00:00:00Z'],
    [null, 90, null],
    [undefined, 90, undefined],
  ])('of %s with %d seconds left makes %s', (expires, ttlSeconds, restored) => {
    const cookie = { expires }
    restoreExpires(cookie, ttlSeconds, now)
    expect(cookie.expires).toEqual(restored)
  })
})
