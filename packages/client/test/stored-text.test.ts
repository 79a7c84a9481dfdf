import fc from 'fast-check'
import { MemcachedServer } from 'memcache-ts-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'

const server = new MemcachedServer({ port: 0 })
let address: string
beforeAll(async () => {
  address = `127.0.0.1:${(await server.listen()).port}`
})
afterAll(() => server.close())

/** Texts of ASCII and of other characters, of lengths around those at which they are written in other ways. */
const texts = fc
  .tuple(
    fc.constantFrom('', 'x', 'é', '漢', '😀', 'x漢'),
    fc.oneof(fc.nat(300), fc.integer({ min: 5400, max: 5500 }), fc.nat(22_000)),
  )
  .map(([filling, length]) => `${'a'.repeat(length % 7)}${filling.repeat(length)}`)

describe.each(['meta', 'text', 'binary'] as const)('texts that are stored at once, by the %s protocol', (protocol) => {
  it('are read as they were stored, with any characters and lengths', async () => {
    await using client = new MemcachedClient({ servers: address, protocol, poolSize: 1, timeoutMs: 20_000 })
    await fc.assert(
      fc.asyncProperty(fc.array(texts, { minLength: 1, maxLength: 40 }), async (values) => {
        const items = values.map((value, index): [string, string] => [`key:${index}`, value])
        await Promise.all(items.map(([key, value]) => client.set(key, value, 60)))
        const found = await client.getMulti(items.map(([key]) => key))
        expect(found.size).toBe(items.length)
        for (const [key, value] of items) expect(found.get(key) === value, key).toBe(true)
      }),
      { numRuns: 40 },
    )
  })
})
