import { isIPv6 } from 'node:net'
import type { Duplex } from 'node:stream'
import { DEFAULT_PORT, kindOf, MemcacheOptionError } from 'memcache-ts-protocol'

/** A server that is reached over a custom stream, such as a server in this process. */
export interface ServerStream {
  /** The server's name in errors and events. */
  readonly name: string
  /** Opens a connection to the server. */
  connect(): Duplex
}

/** One server of the list. */
export interface ServerAddress {
  /** The server's name in errors, in events and for hashing: `host:port`, a socket's path, or a stream's name. */
  readonly name: string
  readonly host?: string
  readonly port?: number
  /** The host's address from discovery; without it, the name is resolved. */
  readonly ip?: string
  readonly path?: string
  readonly stream?: ServerStream
  /** The server's share of the keys, relative to the other servers' weights. */
  readonly weight: number
}

/** The client options in a list of servers, from a `memcache://` URL. */
export interface ServerListOptions {
  readonly timeoutMs?: number
  readonly connectTimeoutMs?: number
  readonly idleTimeoutMs?: number
  readonly poolSize?: number
  readonly maxQueue?: number
  readonly discovery?: boolean
  readonly discoveryIntervalMs?: number
  readonly tls?: boolean
  /** A file of trusted certificate authorities, in PEM. */
  readonly tlsCaFile?: string
  readonly username?: string
  readonly password?: string
}

/** The result of parsing a list of servers. */
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
 * Reads a list of servers, as in `MEMCACHE_SERVERS`: `a,b:11211:2,[::1]:11211,/run/mc.sock`; each
 * `host[:port[:weight]]`, an IPv6 address in brackets, or the path of a unix socket. As a URL,
 * `memcache://user:password@a:11211,b?timeoutMs=50`, it can carry credentials, once for all servers, and options of the
 * client; `memcaches://` is TLS.
 *
 * @example
 *   const { servers, options } = parseServers('memcache://a:11211,b:11211?timeoutMs=50')
 *
 * @throws MemcacheOptionError that names the invalid part. It never shows text that may be a password; in invalid text,
 *   a password may be anywhere.
 */
export function parseServers(text: string): ServerList {
  if (typeof text !== 'string') throw new MemcacheOptionError(`a list of servers must be text, got ${kindOf(text)}`)
  const [, given, rest] = /^([a-z][a-z\d+.-]*):\/\/(.*)$/is.exec(text.trim()) ?? []
  if (given === undefined || rest === undefined)
    return { servers: parseHosts(text, { mayBeSecret: text.includes('@') }), options: {} }
  const scheme = given.toLowerCase()
  if (scheme !== 'memcache' && scheme !== 'memcaches') {
    throw new MemcacheOptionError(
      `${scheme}:// is not a URL of memcached servers: write host:port,host:port or memcache://host:port`,
    )
  }
  const queryAt = rest.indexOf('?')
  const [authority, query] = queryAt === -1 ? [rest, ''] : [rest.slice(0, queryAt), rest.slice(queryAt + 1)]
  const at = authority.lastIndexOf('@')
  const servers = parseHosts(authority.slice(at + 1).replace(/\/$/, ''), { mayBeSecret: true })
  const options = { ...parseCredentials(authority.slice(0, Math.max(0, at))), ...parseQuery(query) }
  if (scheme === 'memcaches' && options.tls === false) {
    throw new MemcacheOptionError(
      'memcaches:// means TLS and contradicts tls=false: write memcache://, or leave tls=false out',
    )
  }
  const tls = scheme === 'memcaches' ? { tls: true } : {}
  return { servers, options: { ...options, ...tls } }
}

/** Parses `user:password`, each percent-encoded. */
function parseCredentials(text: string): ServerListOptions {
  if (text === '') return {}
  if (/[@,/\s]/.test(text)) {
    throw new MemcacheOptionError(
      'the credentials of the servers must be given once, before the first host, and percent-encoded: write %40 for @, %2C for a comma and %2F for /',
    )
  }
  const colon = text.indexOf(':')
  if (colon === -1) {
    throw new MemcacheOptionError(`the servers have a user without a password: write user:password@host`)
  }
  try {
    return {
      username: decodeURIComponent(text.slice(0, colon)),
      password: decodeURIComponent(text.slice(colon + 1)),
    }
  } catch {
    // The error's cause would show the password.
    throw new MemcacheOptionError('the credentials of the servers are not percent-encoded: write %25 for %')
  }
}

/** @param shown.mayBeSecret whether invalid text may contain a password. */
function parseHosts(text: string, { mayBeSecret }: { readonly mayBeSecret: boolean }): ServerAddress[] {
  const parts = text.split(/[,\s]+/).filter((part) => part !== '')
  if (parts.length === 0) throw new MemcacheOptionError('the list of servers is empty: write at least one host')
  return parts.map((part, index) => parseServer(part, shownServer(part, index, { mayBeSecret })))
}

/** Returns a part of the list as errors show it, without text after a colon or another sign: it may be a password. */
function shownServer(part: string, index: number, { mayBeSecret }: { readonly mayBeSecret: boolean }): string {
  if (mayBeSecret) return `server ${index + 1} of the list`
  const sign = part.search(/[^\w./[\]-]/)
  return sign === -1 ? `'${part}'` : `'${part.slice(0, sign + 1)}…'`
}

function parseQuery(query: string): ServerListOptions {
  const options: Record<string, unknown> = {}
  if (query.includes('@')) {
    throw new MemcacheOptionError(
      'the URL of the servers has an @ after its ?: percent-encode both in credentials, as %40 and %3F',
    )
  }
  for (const [name, value] of new URLSearchParams(query)) {
    if (!Object.hasOwn(QUERY, name)) {
      const known = Object.keys(QUERY).join(', ')
      const shown = value !== '' && /^\w+$/.test(name) ? ` '${name}'` : ' of that kind'
      throw new MemcacheOptionError(`a memcache:// URL has no option${shown}: it knows ${known}`)
    }
    if (Object.hasOwn(options, name)) throw new MemcacheOptionError(`the URL of the servers has ${name} twice`)
    options[name] = QUERY[name as keyof typeof QUERY](name, value)
  }
  return options
}

function readNumber(name: string, value: string): number {
  const number = Number(value)
  if (!(number > 0)) throw new MemcacheOptionError(`${name} must be a number greater than 0 in the URL of the servers`)
  return number
}

function readBoolean(name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false') {
    throw new MemcacheOptionError(`${name} must be true or false in the URL of the servers`)
  }
  return value === 'true'
}

function parseServer(text: string, shown: string): ServerAddress {
  // No sign of a URL: without its scheme, a URL would look like a path.
  const [, path, weight] = /^(\/[^/:?#%&=\\;|"'<>][^:?#%&=\\;|"'<>]*)(?::(\d+))?$/.exec(text) ?? []
  if (path !== undefined) return { name: path, path, weight: weightOf(weight, shown) }
  if (/^\d+$/.test(text)) {
    throw new MemcacheOptionError(
      `${shown} is a port without a host: write servers as localhost:11211, with a colon and no space`,
    )
  }
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^:[\]/@?#%&=\\;|"'<>]+))(?::(\d+))?(?::(\d+))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (match === null || host === undefined || (match[1] !== undefined && !isIPv6(match[1]))) {
    throw new MemcacheOptionError(
      `${shown} cannot be read: write host, host:port, host:port:weight, [ipv6]:port or /path`,
    )
  }
  if (match[3] === undefined) refuseUnset(host, shown)
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (port < 1 || port > 65_535) throw new MemcacheOptionError(`the port of ${shown} must be from 1 to 65535`)
  const name = match[1] === undefined ? `${host}:${port}` : `[${host}]:${port}`
  return { name, host, port, weight: weightOf(match[4], shown) }
}

/** Texts that a setting becomes if it is missing, or is not text. */
const UNSET = ['undefined', 'null', 'NaN', 'true', 'false']

/**
 * @throws MemcacheOptionError if a host looks like a setting that is missing, or like the word for the server in this
 *   process.
 */
function refuseUnset(host: string, shown: string): void {
  if (UNSET.includes(host)) {
    throw new MemcacheOptionError(
      `${shown} is a text that a missing setting becomes: set the servers, or write ${host}:11211 if that is the name of a host`,
    )
  }
  if (host.toLowerCase() === 'embedded') {
    throw new MemcacheOptionError(
      `${shown} is not a server of a list: write servers: 'embedded', alone, for the memcached in the process of a memcache(), or ${host}:11211 if that is the name of a host`,
    )
  }
}

function weightOf(text: string | undefined, shown: string): number {
  const weight = text === undefined ? 1 : Number(text)
  if (weight < 1 || !Number.isSafeInteger(weight)) {
    throw new MemcacheOptionError(`the weight of ${shown} must be at least 1: leave the server out to give it no keys`)
  }
  return weight
}
