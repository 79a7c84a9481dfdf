import { isIPv6 } from 'node:net'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { describeValue } from '../option-types.ts'

/** How many bits of an IPv6 address identify a client: a customer gets at least a /56, and can use every address in it. */
const DEFAULT_IPV6_SUBNET = 56
const MIN_IPV6_SUBNET = 1
const IPV6_BITS = 128

/**
 * Returns the key of a client by its address: an IPv4 address unchanged, an IPv6 address as its subnet. IPv6 addresses
 * that contain an IPv4 address (mapped, NAT64, 6to4, Teredo) count as the IPv4 address.
 *
 * @example
 *   await limiter.consume(ipKey(request.socket.remoteAddress))
 *
 * @param ipv6Subnet how many bits of an IPv6 address identify a client; 128 means each address. Default 56.
 * @throws MemcacheOptionError if `ipv6Subnet` is not a whole number from 1 to 128.
 */
export function ipKey(ip: string, ipv6Subnet: number = DEFAULT_IPV6_SUBNET): string {
  if (ipv6Subnet !== DEFAULT_IPV6_SUBNET) checkIpv6Subnet(ipv6Subnet)
  // Most addresses are IPv4.
  if (!ip.includes(':')) return ip
  const address = withoutPort(ip).split('%')[0]!
  if (!isIPv6(address)) return address
  const groups = expand(address)
  const embedded = embeddedIpv4(groups)
  if (embedded !== undefined) return embedded
  const whole = Math.floor(ipv6Subnet / 16)
  const rest = ipv6Subnet % 16
  const kept = groups.slice(0, whole)
  if (rest > 0) kept.push(groups[whole]! & (0xffff << (16 - rest)) & 0xffff)
  const subnet = kept.map((group) => group.toString(16)).join(':')
  if (ipv6Subnet === IPV6_BITS) return subnet
  return `${subnet}${kept.length === 8 ? '' : '::'}/${ipv6Subnet}`
}

/** @throws MemcacheOptionError if the value is not a whole number from 1 to 128. */
export function checkIpv6Subnet(value: unknown): void {
  if (!Number.isInteger(value) || (value as number) < MIN_IPV6_SUBNET || (value as number) > IPV6_BITS) {
    throw new MemcacheOptionError(
      `ipv6Subnet must be a whole number of bits from ${MIN_IPV6_SUBNET} to ${IPV6_BITS}, got ${describeValue(value)}`,
    )
  }
}

/** Removes the port of `address:port`, which some proxies forward: with it, each connection would be another client. */
function withoutPort(ip: string): string {
  return /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(ip)?.[1] ?? /^\[(.+)\](?::\d+)?$/.exec(ip)?.[1] ?? ip
}

/**
 * Returns the IPv4 address that an IPv6 address contains: mapped (RFC 4291, section 2.5.5.2), behind NAT64 (RFC 6052,
 * 64:ff9b::/96), of 6to4 (RFC 3056), or of a Teredo client (RFC 4380, section 4: inverted).
 */
function embeddedIpv4(groups: readonly number[]): string | undefined {
  const [a, b, c, d, e, f, high, low] = groups as [number, number, number, number, number, number, number, number]
  if (a === 0x2002) return ipv4(b, c)
  if (a === 0x2001 && b === 0) return ipv4(high ^ 0xffff, low ^ 0xffff)
  if ((c | d | e) !== 0) return undefined
  const isMapped = a === 0 && b === 0 && f === 0xffff
  const isNat64 = a === 0x64 && b === 0xff9b && f === 0
  return isMapped || isNat64 ? ipv4(high, low) : undefined
}

function ipv4(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** Returns the eight groups of an IPv6 address. */
function expand(address: string): number[] {
  // The last two groups may be written as an IPv4 address.
  const plain = address.replace(/(?:\d+\.){3}\d+$/, (quad) => {
    const [a = 0, b = 0, c = 0, d = 0] = quad.split('.').map(Number)
    return [a * 256 + b, c * 256 + d].map((group) => group.toString(16)).join(':')
  })
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
}
