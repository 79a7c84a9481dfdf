import { expectTypeOf } from 'vitest'
import type { Client } from '../src/compat/memjs.ts'
import type { MemcachedClient } from '../src/index.ts'

// Type tests: `npm run types` fails if a type differs, or an expected error is missing.

// A counter is a number or a bigint, as its amount is.
const increment = (client: MemcachedClient) => client.incr('n', 1)
expectTypeOf(increment).returns.resolves.toEqualTypeOf<number | undefined>()
const incrementBig = (client: MemcachedClient) => client.incr('big', 1n)
expectTypeOf(incrementBig).returns.resolves.toEqualTypeOf<bigint | undefined>()
// @ts-expect-error an amount is no text
export const incrementByText = (client: MemcachedClient) => client.incr('n', '1')

// A get of the memjs client has null for a miss.
const memjsGet = (client: Client) => client.get('hello')
expectTypeOf(memjsGet).returns.resolves.toEqualTypeOf<{ value: Buffer | null; flags: Buffer | null }>()
