import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Uint64, writeUint } from '../src/uint64.ts'

const MAX = 2n ** 64n - 1n
/** Small, around 2^32, around 2^53 and around 2^64, where mistakes live. */
const uint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: MAX }),
  fc.bigInt({ min: 0n, max: 1000n }),
  fc.bigInt({ min: 2n ** 32n - 5n, max: 2n ** 32n + 5n }),
  fc.bigInt({ min: 2n ** 53n - 5n, max: 2n ** 53n + 5n }),
  fc.bigInt({ min: MAX - 5n, max: MAX }),
  fc.integer({ min: 0, max: 19 }).map((power) => 10n ** BigInt(power)),
  fc.integer({ min: 1, max: 19 }).map((power) => 10n ** BigInt(power) - 1n),
)

function of(value: bigint): Uint64 {
  const made = new Uint64()
  made.setBigInt(value)
  return made
}

function parse(text: string): Uint64 | undefined {
  const value = new Uint64()
  const bytes = Buffer.from(`<${text}>`)
  return value.parse(bytes, 1, bytes.length - 1) ? value : undefined
}

describe('Uint64', () => {
  it('reads its own digits unchanged', () => {
    fc.assert(
      fc.property(uint64, (value) => {
        const out = Buffer.alloc(24, '.')
        const end = of(value).write(out, 2)
        expect(out.toString('latin1', 2, end)).toBe(String(value))
        expect(out.toString('latin1', end)).toMatch(/^\.*$/)
        expect(parse(String(value))?.toBigInt()).toBe(value)
        expect(parse(`000${value}`)?.toBigInt()).toBe(value)
      }),
      { numRuns: 2000 },
    )
  })

  it('adds as memcached does, wrapping at 2^64', () => {
    fc.assert(
      fc.property(uint64, uint64, (a, b) => {
        const sum = of(a)
        sum.add(of(b))
        expect(sum.toBigInt()).toBe((a + b) & MAX)
      }),
    )
  })

  it('subtracts as memcached does, stopping at 0', () => {
    fc.assert(
      fc.property(uint64, uint64, (a, b) => {
        const difference = of(a)
        difference.subtract(of(b))
        expect(difference.toBigInt()).toBe(a > b ? a - b : 0n)
        expect(of(a).isLessThan(of(b))).toBe(a < b)
        expect(of(a).equals(of(b))).toBe(a === b)
      }),
    )
  })

  it('counts over the edge of its halves', () => {
    const value = of(2n ** 32n - 1n)
    value.increment()
    expect(value.toBigInt()).toBe(2n ** 32n)
    value.setBigInt(MAX)
    value.increment()
    expect(value.toBigInt()).toBe(0n)
  })

  it.each(['', '-1', '+1', ' 1', '1 ', 'x', '12x', '18446744073709551616', '99999999999999999999999'])(
    'refuses %j',
    (text) => {
      expect(parse(text)).toBeUndefined()
    },
  )
})

describe('writeUint', () => {
  it('writes every whole number under 2^53', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const out = Buffer.alloc(20)
        expect(out.toString('latin1', 0, writeUint(out, 0, value))).toBe(String(value))
      }),
    )
  })
})
