import type { Request } from 'express'
import { MemcacheOptionError } from 'memcache-ts'
import { ipKey as keyOfAddress } from 'memcache-ts/rate-limit'

let warnedOfProxy = false

/**
 * One client's name by the address of its request, or by an address: IPv4 as it is, IPv6 by its subnet. IPv6 addresses
 * that hold an IPv4 address (mapped, NAT64, 6to4, Teredo) count as that.
 *
 * @param ipv6Subnet how many bits of an IPv6 address are one client. Default 56.
 * @throws MemcacheOptionError if a request has no address, or the subnet is none.
 */
export function ipKey(from: Request | string, ipv6Subnet?: number): string {
  if (typeof from === 'string') return keyOfAddress(from, ipv6Subnet)
  if (!warnedOfProxy && from.headers['x-forwarded-for'] !== undefined) checkProxy(from)
  const { ip } = from
  if (ip === undefined || ip === '') {
    throw new MemcacheOptionError('a request has no address to count it by: give rateLimit({ key: (request) => … })')
  }
  return keyOfAddress(ip, ipv6Subnet)
}

/** Tells once of a proxy that is not known of, or of one that anybody can pretend to be. */
function checkProxy(request: Request): void {
  const trusted: unknown = request.app.get('trust proxy')
  if (trusted !== false && trusted !== true) return
  warnedOfProxy = true
  process.emitWarning(
    trusted
      ? "Express trusts every proxy, so that a client can give itself any address in X-Forwarded-For, and no limit holds it. Say how many there are: app.set('trust proxy', 1)"
      : "a request came through a proxy, but Express does not trust it: all clients count as one. Say app.set('trust proxy', 1)",
    { code: 'MEMCACHE_TRUST_PROXY' },
  )
}
