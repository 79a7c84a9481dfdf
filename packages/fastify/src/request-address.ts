import type { FastifyRequest } from 'fastify'
import { MemcacheOptionError } from 'memcache-ts'
import { ipKey as keyOfAddress } from 'memcache-ts/rate-limit'

let hasWarned = false

/**
 * One client's name by the address of its request, or by an address: IPv4 as it is, IPv6 by its subnet. IPv6 addresses
 * that hold an IPv4 address (mapped, NAT64, 6to4, Teredo) count as that.
 *
 * @param ipv6Subnet how many bits of an IPv6 address are one client. Default 56.
 * @throws MemcacheOptionError if a request has no address, or the subnet is invalid.
 */
export function ipKey(from: FastifyRequest | string, ipv6Subnet?: number): string {
  if (typeof from === 'string') return keyOfAddress(from, ipv6Subnet)
  if (!hasWarned && from.headers['x-forwarded-for'] !== undefined) checkProxy(from)
  const ip: string | undefined = from.ip
  if (ip === undefined || ip === '') {
    throw new MemcacheOptionError('a request has no address to count it by: give rateLimit({ key: (request) => … })')
  }
  return keyOfAddress(ip, ipv6Subnet)
}

/** Warns once of a proxy that is not trusted: all clients behind it have its address. */
function checkProxy(request: FastifyRequest): void {
  // With `trustProxy` Fastify tells all addresses on the way.
  if (request.ips !== undefined) return
  hasWarned = true
  process.emitWarning(
    'a request came through a proxy, but Fastify does not trust it: all clients count as one. Say Fastify({ trustProxy: 1 })',
    { code: 'MEMCACHE_TRUST_PROXY' },
  )
}
