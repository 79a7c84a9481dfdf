import { DEFAULT_PORT } from 'memcache-ts-protocol'
import type { ServerAddress } from '../server-address.ts'

/**
 * What a unix socket is called where it is hashed: as libmemcached has it, which gives it the port 0, or its path
 * alone.
 */
export type SocketName = 'path:0' | 'path'

/** A server as libmemcached's weighted ketama calls it: without its port, where that is the default one. */
export function libmemcachedName({ host, port, path, name }: ServerAddress, socketName: SocketName): string {
  if (path !== undefined) return socketName === 'path:0' ? `${path}:0` : path
  if (host === undefined) return name
  return port === DEFAULT_PORT ? host : `${host}:${port}`
}

/** A server as spymemcached calls it. */
export function spymemcachedName({ host, port, path, name }: ServerAddress, socketName: SocketName): string {
  if (path !== undefined) return socketName === 'path:0' ? `/${path}:0` : path
  return host === undefined ? name : `/${host}:${port}`
}
