import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { storageOf } from '../src/http/policy/storage-policy.ts'
import type { StorageDecision } from '../src/http/policy/storage-policy.ts'

const CONDITIONS = {
  isAuthorized: false,
  defaultSeconds: 60,
  staleSeconds: 0,
  targetedFields: ['cdn-cache-control'],
} as const

function decide(fields: Record<string, string>): StorageDecision {
  return storageOf({ status: 200, fields, receivedMs: 1_800_000_000_000 }, CONDITIONS)
}

/** Forms in which applications write several directives, right or wrong; `#` stands for the forbidding one. */
const FORMS = [
  '#',
  ' # ',
  'max-age=60, #',
  'max-age=60,,#',
  '#; max-age=60',
  'max-age=60;#',
  'public;#',
  'max-age=60 #',
  '#=""',
  '#=',
  '#=" "',
  '#=","',
  '#="two words"',
  '# ="x-a"',
  '# = "x-a"',
  '#="x-a',
  'max-age=60, #="x-a',
  '#="x-a"x',
  '#"x-a"',
  '#:x',
  '"#"',
  'max-age="60 #"x',
  '#="x-a", #',
]

describe('a directive that forbids something', () => {
  it('counts in each form, including invalid ones', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FORMS),
        fc.constantFrom('private', 'Private', 'PRIVATE', 'no-store', 'No-Store'),
        (form, word) => {
          const line = form.replaceAll('#', word)
          expect(decide({ 'cache-control': line }), line).toHaveProperty('refused')
        },
      ),
      { numRuns: 400 },
    )
  })

  it('no-cache makes each use a revalidation, in each form', () => {
    for (const form of FORMS) {
      const line = form.replaceAll('#', 'no-cache')
      const decision = decide({ 'cache-control': line, etag: '"a"' })
      expect(decision, line).toMatchObject({ lifetimes: { alwaysRevalidate: true } })
    }
  })

  it.each(['private', 'private=""', 'private=x', 'private=1', 'private=()', 'private=("x-a")', 'max-age=60;private'])(
    'counts in a targeted field: %s',
    (line) => {
      expect(decide({ 'cdn-cache-control': line })).toHaveProperty('refused')
    },
  )

  it.each(['private="x-a"', 'private=x-a', 'private="x-a, x-b"', 'no-cache="x-a"'])(
    'with a list of fields forbids only these: %s',
    (line) => {
      expect(decide({ 'cache-control': line })).toMatchObject({ unstored: expect.arrayContaining(['x-a']) as unknown })
    },
  )

  it.each(['privately', 'x-private', 'max-age=60, x="private"', 'no-storehouse', 'x="a, no-store"'])(
    'is not found in other words, and not in the text of other directives: %s',
    (line) => {
      expect(decide({ 'cache-control': line })).toHaveProperty('lifetimes')
    },
  )
})
