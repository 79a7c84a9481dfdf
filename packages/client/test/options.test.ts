import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

/** Values of every type that some option might be given by mistake. */
const VALUES: readonly unknown[] = [
  '1000',
  'true',
  'false',
  '',
  'nonsense',
  0,
  -1,
  1.5,
  NaN,
  1000,
  Infinity,
  2 ** 31,
  10n,
  true,
  false,
  null,
  [],
  {},
  [5],
  Symbol('s'),
  () => 1,
  new Date(0),
]

const TIMES = ['timeoutMs', 'connectTimeoutMs', 'idleTimeoutMs', 'discoveryIntervalMs'] as const
const OPTIONS = [
  ...TIMES,
  'servers',
  'poolSize',
  'maxQueue',
  'profile',
  'hash',
  'hashWithPrefix',
  'hashSocketsAs',
  'failover',
  'tls',
  'protocol',
  'discovery',
  'prefix',
  'longKeys',
  'maxDecompressedBytes',
  'chunkBytes',
  'clock',
] as const satisfies readonly (keyof MemcachedClientOptions)[]

function outcome(options: unknown): unknown {
  try {
    return new MemcachedClient(options as MemcachedClientOptions)
  } catch (error) {
    return error
  }
}

describe.each(OPTIONS)('the option %s', (name) => {
  it.each(VALUES.map((value) => [typeof value, value]))(
    'is taken or refused by an option error, given a %s: %s',
    (_, value) => {
      const got = outcome({ [name]: value })
      if (got instanceof MemcachedClient) return
      expect(got).toBeInstanceOf(MemcacheOptionError)
      expect((got as Error).message).toMatch(new RegExp(`${name}|server`))
    },
  )
})

it.each([...TIMES, 'poolSize', 'maxQueue', 'chunkBytes', 'maxDecompressedBytes'])(
  'tells the type of text given for %s, and what to do',
  (name) => {
    expect(() => new MemcachedClient({ [name]: '1000' })).toThrow(/got text: convert it with Number/)
  },
)

it.each(['discovery', 'hashWithPrefix'])("does not take the text 'false' for true in %s", (name) => {
  expect(() => new MemcachedClient({ [name]: 'false' })).toThrow(`${name} must be true or false, got text`)
})

it.each(TIMES)('takes a time of any length for %s', async (name) => {
  for (const value of [Infinity, 2 ** 31, 30 * 86_400_000, Number.MAX_VALUE]) {
    const client = outcome({ [name]: value })
    expect(client, String(value)).toBeInstanceOf(MemcachedClient)
    await (client as MemcachedClient).close()
  }
})

it.each([null, 5, true, () => {}, Symbol('s')])('refuses %s in place of the options', (options) => {
  expect(outcome(options)).toBeInstanceOf(MemcacheOptionError)
})

it('never shows a password of the wrong type', () => {
  const got = outcome({ username: 'ann', password: 12_345_678 }) as Error
  expect(got.message).toBe('password must be text, got a number')
})
