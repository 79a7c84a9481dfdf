import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { AdaptiveStore } from '../src/cache/adaptive-store.ts'
import { LeaseKeeper } from '../src/cache/lease-keeper.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** How often a lease of 3 seconds was renewed within so many. */
async function renewals(filled: boolean, background: boolean, seconds: number): Promise<number> {
  let renewed = 0
  const store = { use: async () => BigInt(++renewed) } as unknown as AdaptiveStore
  const keeper = new LeaseKeeper(store, 3)
  keeper.keep({ key: 'k', casUnique: 0n, filled }, background)
  await vi.advanceTimersByTimeAsync(seconds * 1000)
  keeper.close()
  return renewed
}

it('renews a lease for as long as its loader runs', async () => {
  expect(await renewals(false, false, 60)).toBeGreaterThan(50)
  expect(await renewals(true, false, 60)).toBeGreaterThan(50)
  expect(await renewals(false, true, 60)).toBeGreaterThan(50)
})

it('gives up the right to reload in the background after two leases, so that a reload that hangs keeps nobody else from it', async () => {
  const renewed = await renewals(true, true, 60)
  expect(renewed).toBeGreaterThan(3)
  expect(renewed).toBeLessThanOrEqual(6)
})
