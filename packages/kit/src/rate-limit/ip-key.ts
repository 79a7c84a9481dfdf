import { isIPv6 } from 'node:net'

/** How many bits of an IPv6 address are one client: a customer gets at least a /56, and can use every address in it. */
const IPV6_PREFIX_BITS = 56

/**
 * One client's name by its address: IPv4 as it is, IPv6 by its /56, an IPv4 address in IPv6 clothes as IPv4.
 */
export function ipKey(ip: string): string {
  // Most are plain IPv4.
  if (!ip.includes(':')) return ip
  const address = withoutPort(ip).split('%')[0]!
  if (!isIPv6(address)) return address
  const groups = expand(address)
  const mapped = mappedIpv4(groups)
  if (mapped !== undefined) return mapped
  const whole = Math.floor(IPV6_PREFIX_BITS / 16)
  const rest = IPV6_PREFIX_BITS % 16
  const kept = groups.slice(0, whole)
  kept.push(groups[whole]! & (0xffff << (16 - rest)) & 0xffff)
  return `${kept.map((group) => group.toString(16)).join(':')}::/${IPV6_PREFIX_BITS}`
}

/** Some proxies forward `address:port`; with the port in it a client would be another one with each connection. */
function withoutPort(ip: string): string {
  return /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(ip)?.[1] ?? /^\[(.+)\](?::\d+)?$/.exec(ip)?.[1] ?? ip
}

/** The IPv4 address that an IPv6 one stands for (RFC 4291, section 2.5.5.2), however it is written. */
function mappedIpv4(groups: readonly number[]): string | undefined {
  const [a, b, c, d, e, f, high, low] = groups as [number, number, number, number, number, number, number, number]
  if ((a | b | c | d | e) !== 0 || f !== 0xffff) return undefined
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** The eight groups of an IPv6 address. */
function expand(address: string): number[] {
  // The last two groups may be written as an IPv4 address.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a: string, b: string, c: string, d: string) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(':'),
  )
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
}
