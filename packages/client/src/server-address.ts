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
  /** Where the host was last said to be; without it the name is resolved. */
  readonly ip?: string
  readonly path?: string
  readonly stream?: ServerStream
  /** Its share of the keys, against the other servers' weights. */
  readonly weight: number
}

/** What a list of servers says besides the servers: options of the client, from a `memcache://` URL. */
export interface ServerListOptions {
  readonly timeoutMs?: number
  readonly connectTimeoutMs?: number
  readonly idleTimeoutMs?: number
  readonly poolSize?: number
  readonly maxQueue?: number
  readonly discovery?: boolean
  readonly discoveryIntervalMs?: number
  readonly tls?: boolean
  /** A file of the authorities that a server's certificate may be from, in PEM. */
  readonly tlsCaFile?: string
  readonly username?: string
  readonly password?: string
}

/** A list of servers that was read. */
export interface ServerList {
  readonly servers: readonly ServerAddress[]
  readonly options: ServerListOptions
}

/** How the options of a URL's query are read. */
const QUERY = {
  timeoutMs: readNumber,
  connectTimeoutMs: readNumber,
  idleTimeoutMs: readNumber,
  poolSize: readNumber,
  maxQueue: readNumber,
  discovery: readBoolean,
  discoveryIntervalMs: readNumber,
  tls: readBoolean,
  tlsCaFile: (_: string, value: string) => value,
} as const satisfies Partial<Record<keyof ServerListOptions, (name: string, value: string) => unknown>>

/**
 * Reads a list of servers, as in `MEMCACHE_SERVERS`: `a,b:11211:2,[::1]:11211,/run/mc.sock`; each `host[:port[:weight]]`,
 * an IPv6 address in brackets, or the path of a unix socket. As a URL, `memcache://user:password@a:11211,b?timeoutMs=50`, it
 * can carry credentials and options of the client; `memcaches://` is TLS.
 * @throws MemcacheOptionError that says which part cannot be read.
 */
export function parseServers(text: string): ServerList {
  const [, scheme, rest] = /^([a-z]+):\/\/(.*)$/s.exec(text.trim()) ?? []
  if (scheme === undefined || rest === undefined) return { servers: parseHosts(text), options: {} }
  if (scheme !== 'memcache' && scheme !== 'memcaches') {
    throw new MemcacheOptionError(
      `the servers '${text}' are not memcached's: write host:port,host:port or memcache://host:port`,
    )
  }
  const [authority = '', query = ''] = rest.split('?', 2)
  const at = authority.lastIndexOf('@')
  const options = {
    ...(scheme === 'memcaches' ? { tls: true } : {}),
    ...parseCredentials(authority.slice(0, Math.max(0, at))),
    ...parseQuery(query),
  }
  return { servers: parseHosts(authority.slice(at + 1).replace(/\/$/, '')), options }
}

/** `user:password`, each percent-encoded. */
function parseCredentials(text: string): { username: string; password: string } | undefined {
  if (text === '') return undefined
  const colon = text.indexOf(':')
  if (colon === -1)
    throw new MemcacheOptionError(`the servers have a user without a password: write user:password@host`)
  try {
    return {
      username: decodeURIComponent(text.slice(0, colon)),
      password: decodeURIComponent(text.slice(colon + 1)),
    }
  } catch (cause) {
    throw new MemcacheOptionError('the credentials of the servers are not percent-encoded: write %25 for %', { cause })
  }
}

function parseHosts(text: string): ServerAddress[] {
  const parts = text.split(/[,\s]+/).filter((part) => part !== '')
  if (parts.length === 0) throw new MemcacheOptionError('the list of servers is empty: write at least one host')
  return parts.map(parseServer)
}

function parseQuery(query: string): ServerListOptions {
  const options: Record<string, unknown> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    if (!Object.hasOwn(QUERY, name)) {
      const known = Object.keys(QUERY).join(', ')
      throw new MemcacheOptionError(`a memcache:// URL has no option '${name}': it knows ${known}`)
    }
    options[name] = QUERY[name as keyof typeof QUERY](name, value)
  }
  return options
}

function readNumber(name: string, value: string): number {
  const number = Number(value)
  if (!(number > 0)) throw new MemcacheOptionError(`${name} must be a number over 0, got '${value}'`)
  return number
}

function readBoolean(name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new MemcacheOptionError(`${name} is true or false, got '${value}'`)
  return value === 'true'
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
