import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashKey, scanKey } from '../src/key-hash.ts'

const SPACE = 32

describe('the hash of a key', () => {
  it('is the same from a line and from a buffer, at any place', () => {
    const found = { keyHash: 0 }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(5), (bytes, offset) => {
        const key = Buffer.from(bytes.filter((byte) => byte !== SPACE))
        const buffer = Buffer.concat([Buffer.alloc(offset, 'o'), key, Buffer.from(' rest of the line\r\n')])
        expect(scanKey(found, buffer, offset, buffer.length, SPACE)).toBe(offset + key.length)
        expect(found.keyHash).toBe(hashKey(key, 0, key.length))
        // The key is the last of its line.
        expect(scanKey(found, buffer, offset, offset + key.length, SPACE)).toBe(offset + key.length)
        expect(found.keyHash).toBe(hashKey(key, 0, key.length))
      }),
    )
  })

  it('takes every byte, spaces and NULs too, and the length', () => {
    // Each with a prefix too: of two hashes of 32 bits, one collides by chance once in fifty million secrets.
    const hashes = new Set<string>()
    const keys = [
      '',
      '\0',
      '\0\0',
      '\0\0\0',
      '\0\0\0\0',
      ' ',
      'a',
      'a ',
      'a\0',
      'aaaa',
      'aaaa\0',
      'aaaa ',
      'aaa a',
      '\x80',
    ]
    const hashOf = (key: string): number => hashKey(Buffer.from(key, 'latin1'), 0, key.length)
    for (const key of keys) hashes.add(`${hashOf(key)} ${hashOf(`prefix ${key}`)}`)
    expect(hashes.size).toBe(keys.length)
  })

  it('differs in half of its bits for a key that differs in one, wherever that is', () => {
    // Over many keys, so that this holds for every secret.
    const KEYS = 200
    for (let bit = 0; bit < 20 * 8; bit++) {
      let differing = 0
      for (let number = 0; number < KEYS; number++) {
        const key = Buffer.from(`user:${number}`.padEnd(20, '-'))
        const hash = hashKey(key, 0, key.length)
        key[bit >>> 3]! ^= 1 << (bit & 7)
        let bits = hash ^ hashKey(key, 0, key.length)
        for (; bits !== 0; bits &= bits - 1) differing++
      }
      expect(differing / KEYS).toBeGreaterThan(13)
      expect(differing / KEYS).toBeLessThan(19)
    }
  })

  it('spreads keys that are counted up over the buckets of an index', () => {
    const BUCKETS = 4096
    const counts = new Uint32Array(BUCKETS)
    for (let number = 0; number < BUCKETS * 4; number++) {
      const key = Buffer.from(`item:${number}`)
      counts[hashKey(key, 0, key.length) & (BUCKETS - 1)]!++
    }
    // Four a bucket (Poisson): one has thirty by chance with one secret in 10^12, and twenty with one in 25,000.
    expect(Math.max(...counts)).toBeLessThan(30)
    expect(counts.filter((count) => count === 0).length).toBeLessThan(BUCKETS / 20)
  })
})
