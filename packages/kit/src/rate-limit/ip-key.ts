import { isIPv4, isIPv6 } from 'node:net'

/** How many bits of an IPv6 address are one client: a customer gets at least a /56, and can use every address in it. */
const IPV6_PREFIX_BITS = 56

/**
 * One client's name by its address: IPv4 as it is, IPv6 by its /56, an IPv4 address in IPv6 clothes as IPv4.
 */
export function ipKey(ip: string): string {
  // Most are plain IPv4.
  if (!ip.includes(':')) return ip
  const address = withoutPort(ip).split('%')[0]!
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined && isIPv4(mapped)) return mapped
  if (!isIPv6(address)) return address
  const groups = expand(address)
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
