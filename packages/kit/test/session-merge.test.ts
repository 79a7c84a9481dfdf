import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergeSessions } from '../src/session/session-merge.ts'

describe('mergeSessions', () => {
  it('keeps the changes of both sides, and mine if both changed the same value', () => {
    const base = { a: 1, b: 1, c: 1, gone: 1, dropped: 1 }
    const mine = { a: 2, b: 1, c: 2, gone: 1, mine: 1 }
    const theirs = { a: 1, b: 3, c: 3, dropped: 1, theirs: 1 }
    // A key that was deleted is gone; it is not there with the value undefined.
    expect(mergeSessions({ base, mine, theirs })).toStrictEqual({ a: 2, b: 3, c: 2, mine: 1, theirs: 1 })
    expect(mergeSessions({ base: { n: 1 }, mine: {}, theirs: { n: 2 } })).toStrictEqual({})
  })

  it('merges a property named __proto__ as data, and applies only the changed properties', () => {
    const theirs = JSON.parse('{ "__proto__": 1, "a": 1 }') as Record<string, unknown>
    const merged = mergeSessions({ base: { a: 1 }, mine: { a: 1, b: 1 }, theirs })
    expect(JSON.stringify(merged)).toBe('{"__proto__":1,"a":1,"b":1}')
    expect(mergeSessions({ base: { a: 1 }, mine: { a: 2 }, theirs: { a: 3 } }, () => false)).toEqual({ a: 2 })
  })

  it('merges by path: parallel writes within one object are all kept, arrays are not merged', () => {
    const base = { user: { name: 'ann', seen: 1 }, files: {}, list: [1] }
    const mine = { user: { name: 'ann', seen: 2 }, files: { a: 1 }, list: [1, 2], made: { a: { b: 1 } } }
    const theirs = { user: { name: 'eve', seen: 1 }, files: { b: 1 }, list: [1, 3], made: { a: { c: 1 } } }
    expect(mergeSessions({ base, mine, theirs })).toEqual({
      user: { name: 'eve', seen: 2 },
      files: { a: 1, b: 1 },
      list: [1, 2],
      made: { a: { b: 1, c: 1 } },
    })
  })

  it('lets a deletion win over a change within the deleted part, in either order', () => {
    const base = { user: { seen: 1 }, keep: { cart: { n: 1 } } }
    const touched = { user: { seen: 2 }, keep: { cart: { n: 2 } } }
    const deleted = { keep: {} }
    expect(mergeSessions({ base, mine: touched, theirs: deleted })).toStrictEqual({ keep: {} })
    expect(mergeSessions({ base, mine: deleted, theirs: touched })).toStrictEqual({ keep: {} })
    expect(mergeSessions({ base: { n: 1 }, mine: { n: 2 }, theirs: {} })).toEqual({ n: 2 })
  })

  it('does not merge within the cookie, and merges a nested property named cookie by path', () => {
    const merged = mergeSessions({
      base: { cookie: { a: 1, b: 1 }, x: { cookie: { a: 1, b: 1 } } },
      mine: { cookie: { a: 2, b: 1 }, x: { cookie: { a: 2, b: 1 } } },
      theirs: { cookie: { a: 1, b: 2 }, x: { cookie: { a: 1, b: 2 } } },
    })
    expect(merged).toEqual({ cookie: { a: 2, b: 1 }, x: { cookie: { a: 2, b: 2 } } })
  })

  it('changes nothing for a request without changes', () => {
    const session = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.jsonValue())
    fc.assert(
      fc.property(session, session, session, (base, mine, theirs) => {
        expect(mergeSessions({ base, mine: base, theirs })).toEqual(theirs)
        expect(mergeSessions({ base, mine, theirs: base })).toEqual(mine)
        const merged = mergeSessions({ base, mine, theirs })
        expect(mergeSessions({ base, mine, theirs: merged })).toEqual(merged)
      }),
    )
  })
})
