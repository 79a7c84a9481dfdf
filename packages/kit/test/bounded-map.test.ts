import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BoundedMap } from '../src/bounded-map.ts'

describe('a bounded map', () => {
  it('evicts the least recently used entry', () => {
    const map = new BoundedMap<number>(4)
    for (const [index, key] of ['a', 'b', 'c', 'a', 'd', 'e'].entries()) map.set(key, index)
    expect(['a', 'b', 'd', 'e'].map((key) => map.get(key))).toEqual([3, undefined, 4, 5])
    map.delete('d')
    expect(map.get('d')).toBeUndefined()
  })

  it('never exceeds its size, returns no wrong value, and keeps the half that was used last', () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 12 }).map(String),
      kind: fc.constantFrom('get', 'set', 'delete'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 2, max: 8 }), (steps, maxEntries) => {
        const map = new BoundedMap<number>(maxEntries)
        const model = new Map<string, number>()
        /** The keys that are there, the one that was used last at the end. */
        let used: string[] = []
        for (const [at, { key, kind }] of steps.entries()) {
          if (kind === 'get') {
            const found = map.get(key)
            if (found !== undefined) expect(found).toBe(model.get(key))
            if (used.slice(-Math.floor(maxEntries / 2)).includes(key)) expect(found).toBe(model.get(key))
            used = used.filter((each) => each !== key)
            if (found !== undefined) used.push(key)
          } else {
            used = used.filter((each) => each !== key)
            if (kind === 'delete') {
              map.delete(key)
              model.delete(key)
            } else {
              map.set(key, at)
              model.set(key, at)
              used.push(key)
            }
          }
          expect(map.size).toBeLessThanOrEqual(maxEntries)
        }
      }),
    )
  })
})
