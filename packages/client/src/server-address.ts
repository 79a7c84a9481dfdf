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

/** What a list of servers says besides the servers: options of the client, from the query of a `memcache://` URL. */
export interface ServerListOptions {
  readonly timeoutMs?: number
  readonly connectTimeoutMs?: number
  readonly poolSize?: number
  readonly maxQueue?: number
}

/** A list of servers that was read. */
export interface ServerList {
  readonly servers: readonly ServerAddress[]
  readonly options: ServerListOptions
}

const URL_OPTIONS = [
  'timeoutMs',
  'connectTimeoutMs',
  'poolSize',
  'maxQueue',
] as const satisfies readonly (keyof ServerListOptions)[]

/** Parts of the grammar whose meaning this version does not have; better refused than taken for something else. */
const NOT_YET: Readonly<Record<string, string>> = {
  discovery: 'auto discovery',
  tlsCaFile: 'TLS',
}

/**
 * Reads a list of servers, as in `MEMCACHE_SERVERS`: `a,b:11211:2,[::1]:11211,/run/mc.sock`; each `host[:port[:weight]]`,
 * an IPv6 address in brackets, or the path of a unix socket. As a URL, `memcache://a:11211,b?timeoutMs=50`, it can carry
 * options of the client.
 * @throws MemcacheOptionError that says which part cannot be read, or is not there yet (TLS, credentials, discovery).
 */
export function parseServers(text: string): ServerList {
  const [, scheme, rest] = /^([a-z]+):\/\/(.*)$/s.exec(text.trim()) ?? []
  if (scheme === undefined || rest === undefined) return { servers: parseHosts(text), options: {} }
  if (scheme === 'memcaches') throw notYet('TLS', 'memcaches://')
  if (scheme !== 'memcache') {
    throw new MemcacheOptionError(
      `the servers '${text}' are not memcached's: write host:port,host:port or memcache://host:port`,
    )
  }
  const [hosts = '', query = ''] = rest.split('?', 2)
  const at = hosts.lastIndexOf('@')
  if (at !== -1) throw notYet('authentication', 'user:password@')
  return { servers: parseHosts(hosts), options: parseQuery(query) }
}

function parseHosts(text: string): ServerAddress[] {
  const parts = text.split(/[,\s]+/).filter((part) => part !== '')
  if (parts.length === 0) throw new MemcacheOptionError('the list of servers is empty: write at least one host')
  return parts.map(parseServer)
}

function parseQuery(query: string): ServerListOptions {
  const options: Record<string, number> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    const missing = NOT_YET[name]
    if (missing !== undefined) throw notYet(missing, name)
    if (!URL_OPTIONS.some((known) => known === name)) {
      throw new MemcacheOptionError(`a memcache:// URL has no option '${name}': it knows ${URL_OPTIONS.join(', ')}`)
    }
    const number = Number(value)
    if (!(number > 0)) throw new MemcacheOptionError(`${name} must be a number over 0, got '${value}'`)
    options[name] = number
  }
  return options
}

function notYet(what: string, part: string): MemcacheOptionError {
  return new MemcacheOptionError(`this version of memcache-ts has no ${what} yet: leave '${part}' out of the servers`)
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
