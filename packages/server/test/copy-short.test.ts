import fc from 'fast-check'
import { expect, test } from 'vitest'
import { COPY_WORDS_BYTES, copyShort, viewOf } from '../src/store/copy-short.ts'

const BYTES = 512

test('copies exactly the requested bytes, at any alignment of either side', () => {
  const offset = fc.nat(BYTES - COPY_WORDS_BYTES)
  fc.assert(
    fc.property(
      offset,
      offset,
      fc.nat(COPY_WORDS_BYTES),
      fc.infiniteStream(fc.nat(255)),
      (start, at, length, bytes) => {
        const source = Buffer.from([...bytes.take(BYTES)])
        const target = Buffer.alloc(BYTES, 0xa5)
        const expected = Buffer.from(target)
        source.copy(expected, at, start, start + length)
        copyShort(viewOf(source), start, start + length, viewOf(target), at)
        expect(target.equals(expected)).toBe(true)
      },
    ),
  )
})
