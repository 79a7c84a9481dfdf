import { expect, it } from 'vitest'
import { BoundedMap } from '../src/bounded-map.ts'

it('a bounded map forgets what was set longest ago', () => {
  const map = new BoundedMap<number>(3)
  for (const [index, key] of ['a', 'b', 'c', 'a', 'd'].entries()) map.set(key, index)
  expect(['a', 'b', 'c', 'd'].map((key) => map.get(key))).toEqual([3, undefined, 2, 4])
  map.delete('c')
  map.set('e', 5)
  expect(['a', 'c', 'd', 'e'].map((key) => map.get(key))).toEqual([3, undefined, 4, 5])
  expect(map.size).toBe(3)
})
