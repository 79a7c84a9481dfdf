import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { AdaptiveStore } from '../src/engine/store/adaptive-store.ts'
import { LeaseKeeper } from '../src/engine/load/lease-keeper.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** How often a lease of 3 seconds was renewed within so many. */
async function renewals(filled: boolean, forMs: number, seconds: number): Promise<number> {
  let renewed = 0
  const store = { use: async () => BigInt(++renewed) } as unknown as AdaptiveStore
  const keeper = new LeaseKeeper(store, 3)
  keeper.keep({ key: 'k', casUnique: 0n, filled }, forMs)
  await vi.advanceTimersByTimeAsync(seconds * 1000)
  keeper.close()
  return renewed
}

it('renews a lease for as long as its loader runs', async () => {
  expect(await renewals(false, Infinity, 60)).toBeGreaterThan(50)
  expect(await renewals(true, Infinity, 60)).toBeGreaterThan(50)
})

it('stops renewing the lease of a reload that hangs, so that other processes may try', async () => {
  const renewed = await renewals(true, 6000, 60)
  expect(renewed).toBeGreaterThan(3)
  expect(renewed).toBeLessThanOrEqual(6)
})

it('has a fill wait for a renewal that is under way, which may change the cas unique', async () => {
  let end = (_: bigint): void => {}
  const store = { use: () => new Promise<bigint>((resolve) => (end = resolve)) } as unknown as AdaptiveStore
  const keeper = new LeaseKeeper(store, 3)
  const lease = { key: 'k', casUnique: 0n, filled: false }
  keeper.keep(lease, Infinity)
  expect(keeper.release(lease)).toBeUndefined()
  keeper.keep(lease, Infinity)
  await vi.advanceTimersByTimeAsync(3000)
  const renewal = keeper.release(lease)
  end(7n)
  await renewal
  expect(renewal).toBeInstanceOf(Promise)
  expect(lease.casUnique).toBe(7n)
  expect(keeper.release(lease)).toBeUndefined()
  keeper.close()
})
