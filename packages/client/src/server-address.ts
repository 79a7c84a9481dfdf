import type { Duplex } from 'node:stream'
import { DEFAULT_PORT, MemcacheOptionError } from 'memcache-ts-protocol'

/** A server that is reached over a stream of the caller's making, such as one in this process. */
export interface ServerStream {
  /** What it is called in errors and events. */
  readonly name: string
  /** Makes a connection to it. */
  connect(): Duplex
}

/** One server of the list. */
export interface ServerAddress {
  /** What it is called in errors, events and for hashing: `host:port`, a socket's path, or a stream's name. */
  readonly name: string
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly stream?: ServerStream
  /** Its share of the keys, against the other servers' weights. */
  readonly weight: number
}

const SCHEME = 'memcache://'

/**
 * Reads a list of servers, as in `MEMCACHE_SERVERS`: `a,b:11211:2,[::1]:11211,/run/mc.sock`; each `host[:port[:weight]]`,
 * an IPv6 address in brackets, or the path of a unix socket. `memcache://a,b` is the same.
 * @throws MemcacheOptionError that says which part cannot be read.
 */
export function parseServers(text: string): ServerAddress[] {
  const list = text.startsWith(SCHEME) ? text.slice(SCHEME.length) : text
  if (/^[a-z]+:\/\//.test(list)) {
    throw new MemcacheOptionError(
      `the servers '${text}' are not memcached's: write host:port,host:port or ${SCHEME}host:port`,
    )
  }
  const parts = list
    .split(/[,\s]+/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
  if (parts.length === 0) throw new MemcacheOptionError('the list of servers is empty: write at least one host')
  return parts.map(parseServer)
}

function parseServer(text: string): ServerAddress {
  if (text.startsWith('/')) {
    const match = /^(.*?)(?::(\d+))?$/.exec(text)!
    return { name: match[1]!, path: match[1]!, weight: weightOf(match[2], text) }
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/@]+))(?::(\d+))?(?::(\d+))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (match === null || host === undefined) {
    throw new MemcacheOptionError(
      `'${text}' is no server: write host, host:port, host:port:weight, [ipv6]:port or /path`,
    )
  }
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (port < 1 || port > 65_535) throw new MemcacheOptionError(`'${text}' has no port from 1 to 65535`)
  const name = match[1] === undefined ? `${host}:${port}` : `[${host}]:${port}`
  return { name, host, port, weight: weightOf(match[4], text) }
}

function weightOf(text: string | undefined, server: string): number {
  const weight = text === undefined ? 1 : Number(text)
  if (weight < 1) throw new MemcacheOptionError(`'${server}' has a weight below 1: leave the server out instead`)
  return weight
}
