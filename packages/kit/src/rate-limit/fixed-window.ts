import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** Where a fixed window stands at a time: windows are aligned, so that all processes mean the same one. */
export interface WindowPosition {
  readonly index: number
  readonly resetMs: number
  /** Until the window is surely over; memcached's seconds are coarse, and an item must not go before its window. */
  readonly ttl: Ttl
}

export function windowPosition({ windowMs }: RateLimitWindow, nowMs: number): WindowPosition {
  const index = Math.floor(nowMs / windowMs)
  return { index, resetMs: (index + 1) * windowMs - nowMs, ttl: `${Math.ceil(windowMs / 1000) + 1}s` }
}

/** The parts of a counter's key: by name, limit and window, so that a changed limit starts anew. */
export function counterKey(name: string, window: RateLimitWindow, index: number, id: string): KeyPart[] {
  return [name, window.limit, window.windowMs, index, id]
}

/** What a counter that stands at `count` after this call says. */
export function fixedWindowResult(window: RateLimitWindow, count: number, resetMs: number): RateLimitResult {
  return new WindowResult(window, Math.max(0, window.limit - count), resetMs, count <= window.limit ? 0 : resetMs)
}
