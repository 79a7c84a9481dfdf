import { describe, expect, it } from 'vitest'
import { ipKey } from '../src/rate-limit/index.ts'
import { IdList } from '../src/rate-limit/id-list.ts'

describe('allow and deny lists', () => {
  it.each([
    [
      '192.0.2.1',
      ['192.0.2.1', '::ffff:192.0.2.1', '::ffff:c000:201', '64:ff9b::192.0.2.1', '192.0.2.1:80', '2002:c000:201::'],
    ],
    ['::ffff:192.0.2.1', ['192.0.2.1', '::ffff:192.0.2.1']],
    ['192.0.2.0/24', ['192.0.2.77', '::ffff:192.0.2.77', '64:ff9b::192.0.2.77']],
    ['2001:db8::1', ['2001:db8::1', '2001:DB8:0:0::1', '[2001:db8::1]:443', '2001:db8::1%eth0']],
    ['2001:db8::/32', ['2001:db8::1', '2001:db8:ffff::', ipKey('2001:db8:1:2::3'), ipKey('2001:db8:1:2::3', 64)]],
    // A client of IPv6 is a network, which has the address.
    ['2001:db8::1', [ipKey('2001:db8::1'), ipKey('2001:db8::ff'), ipKey('2001:db8::1', 64)]],
    ['2001:db8:0:0:1::/80', [ipKey('2001:db8::7')]],
    ['Ann', ['Ann']],
  ])('%s has it in whatever way it is written', (entry, ids) => {
    const list = new IdList('deny', [entry])
    for (const id of ids) expect(list.has(id), id).toBe(true)
  })

  it.each([
    ['192.0.2.1', ['192.0.2.2', '::ffff:192.0.2.2', '010.1.2.3', '192.0.2.1.evil', '192.0.2.1/x', '']],
    ['2001:db8::1', ['2001:db8::2', ipKey('2001:db8:1::1'), '2001:db8::/999', '2001:db8::/-1', '2001:db8::/NaN']],
    ['user/8', ['user', 'user/9']],
    ['Ann', ['ann', '__proto__', 'constructor']],
  ])('%s has nothing else', (entry, ids) => {
    const list = new IdList('deny', [entry])
    for (const id of ids) expect(list.has(id), id).toBe(false)
  })

  it('uses the boolean result of a function, and refuses a promise, which would always be true', () => {
    expect(new IdList('deny', ((id: string) => /^a/.exec(id)) as never).has('abc')).toBe(true)
    expect(new IdList('deny', (() => undefined) as never).has('abc')).toBe(false)
    const list = new IdList('deny', (async () => false) as never)
    expect(() => list.has('abc')).toThrow(
      'deny must be a function that returns true or false, but it returned a promise',
    )
  })

  it.each([['10.0.0.0/33'], ['10.0.0.0/x'], ['2001:db8::/129'], ['10.0.0.0/8/8']])('refuses the range %s', (entry) => {
    expect(() => new IdList('allow', [entry])).toThrow(`allow has an invalid address range, '${entry}'`)
  })
})
