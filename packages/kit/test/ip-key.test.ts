import { describe, expect, it } from 'vitest'
import { ipKey } from '../src/rate-limit/index.ts'

describe('ipKey', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['192.0.2.7:50123', '192.0.2.7'],
    ['[2001:db8:1:2f7::9]:50123', '2001:db8:1:200::/56'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['0:0:0:0:0:ffff:192.0.2.7', '192.0.2.7'],
    ['[::ffff:192.0.2.7]:50123', '192.0.2.7'],
    ['::fffe:c000:207', '0:0:0:0::/56'],
    ['unknown', 'unknown'],
    ['not:an:address', 'not:an:address'],
    ['2001:db8:1:2f7::9', '2001:db8:1:200::/56'],
    ['2001:db8:1:2ff:1:2:3:4', '2001:db8:1:200::/56'],
    ['2001:db8:1:3ff::', '2001:db8:1:300::/56'],
    ['::1', '0:0:0:0::/56'],
    ['fe80::1%eth0', 'fe80:0:0:0::/56'],
    ['64:ff9b::192.0.2.7', '192.0.2.7'],
    ['64:ff9b::c000:207', '192.0.2.7'],
    ['64:ff9b:1::c000:207', '64:ff9b:1:0::/56'],
    ['64:ff9b:0:0:0:1:c000:207', '64:ff9b:0:0::/56'],
    ['2002:c000:207::1', '192.0.2.7'],
    ['2002:c000:207:ffff:1:2:3:4', '192.0.2.7'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', '192.0.2.45'],
    ['2001:1:4136:e378:8000:63bf:3fff:fdd2', '2001:1:4136:e300::/56'],
  ])('%s counts as %s', (ip, key) => {
    expect(ipKey(ip)).toBe(key)
  })

  it.each([
    [64, '2001:db8:1:2f7::/64'],
    [48, '2001:db8:1::/48'],
    [60, '2001:db8:1:2f0::/60'],
    [1, '0::/1'],
    [128, '2001:db8:1:2f7:0:0:0:9'],
  ])('counts an IPv6 address by as many bits as it is told: %i', (bits, key) => {
    expect(ipKey('2001:db8:1:2f7::9', bits)).toBe(key)
    expect(ipKey('192.0.2.7', bits)).toBe('192.0.2.7')
  })

  it.each([0, 129, 56.5, Number.NaN, '64'])('refuses a subnet of %s bits', (bits) => {
    expect(() => ipKey('192.0.2.7', bits as number)).toThrow('ipv6Subnet must be a whole number of bits from 1 to 128')
  })
})
