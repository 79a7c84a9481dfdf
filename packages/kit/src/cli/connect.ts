import { readFileSync } from 'node:fs'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { MemcachedClient, parseServers } from 'memcache-ts-client'
import type { MemcachedClientOptions, ValueCodec } from 'memcache-ts-client'
import { CommandError } from './terminal.ts'
import { KitCodec, LEASE_STUB, valueOf } from '../engine/values/kit-codec.ts'

/** The options that all commands share. */
export interface SharedOptions {
  servers?: string | undefined
  prefix?: string | undefined
  timeoutMs: number
  tls?: boolean | undefined
  tlsCa?: string | undefined
  tlsCert?: string | undefined
  tlsKey?: string | undefined
  username?: string | undefined
  passwordFile?: string | undefined
  hash?: string | undefined
  json?: boolean | undefined
  color?: boolean | undefined
}

const DEFAULT_SERVERS = '127.0.0.1:11211'

/** Returns the list of servers: the arguments, `--servers`, `MEMCACHE_SERVERS`, or memcached's own default. */
export function serversOf(names: readonly string[], options: SharedOptions, env: NodeJS.ProcessEnv): string {
  if (names.length > 0) return names.join(',')
  const fromEnvironment = env['MEMCACHE_SERVERS']?.trim()
  return (
    options.servers ?? (fromEnvironment === undefined || fromEnvironment === '' ? DEFAULT_SERVERS : fromEnvironment)
  )
}

/**
 * Opens a client of the whole list. It looks for a key on the same server as an application with the same list; if that
 * server is away, it does not try another one.
 */
export function openClient(servers: string, options: SharedOptions, env: NodeJS.ProcessEnv): MemcachedClient {
  return new MemcachedClient({ ...clientOptions(servers, options, env), values: anyValueCodec(), failover: 'none' })
}

function clientOptions(servers: string, options: SharedOptions, env: NodeJS.ProcessEnv): MemcachedClientOptions {
  const { prefix, timeoutMs, hash } = options
  return {
    servers,
    timeoutMs,
    connectTimeoutMs: timeoutMs,
    ...(prefix === undefined ? {} : { prefix }),
    ...(hash === undefined ? {} : { hash: hash as NonNullable<MemcachedClientOptions['hash']> }),
    ...credentialsOf(servers, options, env),
    ...tlsOf(options),
  }
}

function credentialsOf(servers: string, options: SharedOptions, env: NodeJS.ProcessEnv): MemcachedClientOptions {
  if (parseServers(servers).options.username !== undefined) return {}
  const username = options.username ?? env['MEMCACHE_USERNAME']
  if (username === undefined || username === '') return {}
  const password =
    options.passwordFile === undefined ? env['MEMCACHE_PASSWORD'] : readFile(options.passwordFile).replace(/\r?\n$/, '')
  if (password === undefined || password === '') {
    throw new CommandError('a user needs a password: set MEMCACHE_PASSWORD, or use --password-file FILE')
  }
  return { username, password }
}

function tlsOf({ tls, tlsCa, tlsCert, tlsKey }: SharedOptions): MemcachedClientOptions {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return tls === true ? { tls } : {}
  const options: TlsOptions = {
    ...(tlsCa === undefined ? {} : { ca: readFile(tlsCa) }),
    ...(tlsCert === undefined ? {} : { cert: readFile(tlsCert) }),
    ...(tlsKey === undefined ? {} : { key: readFile(tlsKey) }),
  }
  return { tls: options }
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`)
  }
}

/** A value in another client's format, which neither the kit nor the client has written. */
export class ForeignValue {
  readonly bytes: Buffer
  readonly clientFlags: number

  constructor(bytes: Buffer, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }
}

/**
 * Returns a codec that reads values of the kit and the client, and the bytes of other values. It writes strings and
 * JSON.
 */
function anyValueCodec(): ValueCodec {
  const kit = new KitCodec(undefined, '')
  return {
    encode: (value) => kit.encode(value),
    decode(bytes, clientFlags) {
      try {
        const stored = kit.decode(bytes, clientFlags)
        return stored === LEASE_STUB ? Buffer.alloc(0) : valueOf(stored)
      } catch {
        return new ForeignValue(bytes, clientFlags)
      }
    },
  }
}
