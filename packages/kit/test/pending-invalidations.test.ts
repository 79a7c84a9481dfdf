import { describe, expect, it, onTestFinished } from 'vitest'
import type { Invalidator } from '../src/engine/invalidate/pending-invalidations.ts'
import { PendingInvalidations } from '../src/engine/invalidate/pending-invalidations.ts'

/** An invalidator whose requests the test answers. */
function openPending() {
  const requests: { readonly text: string; readonly confirm: () => void; readonly fail: () => void }[] = []
  const request = (text: string): Promise<void> =>
    new Promise((resolve, reject) => requests.push({ text, confirm: resolve, fail: () => reject(new Error('away')) }))
  const invalidator: Invalidator = {
    delete: (key) => request(`delete ${key}`),
    raise: (tagKey, by) => request(`raise ${tagKey} by ${by}`),
    raiseRoot: () => request('raise the root'),
  }
  let overflows = 0
  const pending = new PendingInvalidations(invalidator, () => void overflows++)
  onTestFinished(() => pending.close())
  return { pending, requests, overflows: () => overflows }
}

describe('pending invalidations', () => {
  it('are sent once by a run, and settled when they are confirmed', async () => {
    const { pending, requests } = openPending()
    pending.addDelete('a')
    pending.addRaise('t', 1)
    pending.addRaise('t', 65_536)
    pending.addRaise('t', 1)
    expect([pending.size, pending.has('a'), pending.hasTag('t'), pending.has('b')]).toEqual([2, true, true, false])
    const running = pending.run()
    await pending.run()
    expect(requests.map(({ text }) => text)).toEqual(['delete a', 'raise t by 65536'])
    requests[0]!.confirm()
    requests[1]!.fail()
    await running
    expect([pending.size, pending.has('a'), pending.hasTag('t')]).toEqual([1, false, true])
  })

  it('that are made again while they are being sent stay pending: what came first may be what was confirmed', async () => {
    const { pending, requests } = openPending()
    pending.addDelete('a')
    pending.addDelete('b')
    pending.addRaise('t', 65_536)
    const running = pending.run()
    pending.addDelete('a')
    pending.addRaise('t', 1)
    for (const { confirm } of requests) confirm()
    await running
    expect([pending.has('a'), pending.has('b'), pending.hasTag('t')]).toEqual([true, false, true])
    const again = pending.run()
    expect(requests.slice(3).map(({ text }) => text)).toEqual(['delete a', 'raise t by 65536'])
    for (const { confirm } of requests) confirm()
    await again
    expect(pending.size).toBe(0)
  })

  it('that become too many make everything invalid until the root is raised after the last of them', async () => {
    const { pending, requests, overflows } = openPending()
    const fill = (name: string): void => {
      for (let index = 0; index <= 100_000; index++) pending.addDelete(`${name} ${index}`)
    }
    fill('first')
    expect([overflows(), pending.size, pending.has('any'), pending.hasTag('any')]).toEqual([1, 1, true, true])
    const running = pending.run()
    fill('second')
    requests[0]!.confirm()
    await running
    expect([overflows(), pending.has('any')]).toEqual([2, true])
    const again = pending.run()
    requests.at(-1)!.confirm()
    await again
    expect([pending.size, pending.has('any')]).toEqual([0, false])
  })

  it('of a key are settled by a newer write, and those of a closed cache are sent no more', async () => {
    const { pending, requests } = openPending()
    pending.addDelete('a')
    pending.settle('a')
    expect(pending.has('a')).toBe(false)
    pending.addDelete('b')
    pending.close()
    await pending.run()
    expect(requests).toEqual([])
  })
})
