import { inspect } from 'node:util'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { resolveServerOptions } from '../src/options.ts'

const { host: _host, dashboard: _dashboard, tuning, tls: _tls, ...defaults } = resolveServerOptions({})

/** Values that come from the environment, from JSON or from JavaScript, and are of no option's type. */
const STRANGE: readonly unknown[] = [null, Number.NaN, [], {}, Symbol('option'), () => 1, new Date(0)]

function refusal(options: object): unknown {
  try {
    return new MemcachedServer(options)
  } catch (error) {
    return error
  }
}

describe('an option of another type', () => {
  const options = Object.entries(defaults).map(([name, value]) => ({ name, type: typeof value }))

  it.each(options)('is refused by its name, and by the type of the value: $name', ({ name, type }) => {
    const others = [type === 'string' ? 7 : '7', type === 'boolean' ? 'false' : true]
    for (const value of [...STRANGE, ...others]) {
      const error = refusal({ [name]: value })
      expect(error, inspect(value)).toBeInstanceOf(MemcacheOptionError)
      expect((error as Error).message).toContain(`${name} must be `)
    }
  })

  it('gives advice about text', () => {
    expect(() => new MemcachedServer({ port: '11211' as never })).toThrow(
      'port must be a number, got text: convert it with Number(…)',
    )
    expect(() => new MemcachedServer({ disableFlushAll: 'false' as never })).toThrow(
      "disableFlushAll must be true or false, got text: compare it with 'true'",
    )
  })

  it.each(Object.keys(tuning))('is refused in tuning too: %s', (name) => {
    for (const value of ['7', null, {}, Symbol('option')]) {
      const error = refusal({ tuning: { [name]: value } })
      expect(error, inspect(value)).toBeInstanceOf(MemcacheOptionError)
      expect((error as Error).message).toContain(name)
    }
  })

  it.each([null, 'port', 11_211])('is refused in place of all options: %s', (options) => {
    expect(refusal(options as never)).toBeInstanceOf(MemcacheOptionError)
  })

  it.each([5, null, [1], [null], {}])('is refused as a host: %s', (host) => {
    expect(refusal({ host })).toBeInstanceOf(MemcacheOptionError)
  })

  it('is refused if it cannot be read, and as an empty list of hosts', () => {
    const { proxy: revoked, revoke } = Proxy.revocable({}, {})
    revoke()
    for (const name of ['host', 'tls', 'tuning', 'clock', 'dashboard', ...Object.keys(defaults)]) {
      expect(refusal({ [name]: revoked })).toBeInstanceOf(MemcacheOptionError)
    }
    expect(refusal(revoked)).toBeInstanceOf(MemcacheOptionError)
    expect(refusal({ host: [] })).toMatchObject({ message: 'host must be an address or a list of at least one' })
  })
})
