import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { once } from 'node:events'
import { isMainThread } from 'node:worker_threads'
import { MemcacheConnectionError, MemcacheOptionError } from 'memcache-ts-protocol'
import { peerText } from './connection-ends.ts'
import type { PeerVerification } from './tls/tls-acceptor.ts'

/** The difference of a listener from the options of TLS: unencrypted, without client certificates, or requiring them. */
export type TlsPrefix = 'notls' | 'btls' | 'mtls'

/** An address to listen on. */
export type ListenAddress =
  | { readonly host: string; readonly port: number; readonly tls?: TlsPrefix | undefined }
  | { readonly path: string; readonly mode: number }

/** The way in which a `Listener` accepts connections. */
export interface ListenerOptions {
  readonly backlog: number
  /** See `Listener.verification`. */
  readonly verification: PeerVerification | undefined
  readonly accept: (socket: Socket, listener: Listener) => void
  /** Called with the reason if a connection cannot be accepted, such as too many open files. */
  readonly failed: (message: string) => void
}

/** A socket that listens. */
export class Listener {
  /** Its number in `stats conns`. */
  readonly id: number
  readonly server: Server
  /** The TCP port; `undefined` for a unix socket. */
  readonly port: number | undefined
  readonly host: string
  /** The address in the form of `stats conns`: `tcp:127.0.0.1:11211`, `tcp6:[::1]:11211`, `unix:/run/memcached.sock`. */
  readonly address: string
  /** Whether TLS verifies clients; `undefined` for a listener that is not encrypted. */
  readonly verification: PeerVerification | undefined
  /** `IPv4` or `IPv6`; `undefined` for a unix socket. */
  readonly family: string | undefined

  private constructor(id: number, server: Server, verification: PeerVerification | undefined) {
    const bound = server.address() as AddressInfo | string
    this.id = id
    this.server = server
    this.verification = verification
    if (typeof bound === 'string') {
      this.host = bound
      this.address = `unix:${bound}`
    } else {
      this.host = bound.address
      this.port = bound.port
      this.family = bound.family
      this.address = peerText(bound.address, bound.port)
    }
  }

  /**
   * Starts to listen on an address.
   *
   * @throws MemcacheConnectionError if it cannot: the port is in use, or the process has no permission.
   */
  static async open(
    id: number,
    where: ListenAddress,
    { backlog, verification, accept, failed }: ListenerOptions,
  ): Promise<Listener> {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => accept(socket, listener))
    const name = 'path' in where ? where.path : `${where.host}:${where.port}`
    try {
      if ('path' in where) await listenOnPath(server, where, backlog)
      else {
        server.listen({ host: where.host, port: where.port, backlog })
        await once(server, 'listening')
      }
    } catch (cause) {
      const inUse = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
      throw new MemcacheConnectionError(
        `cannot listen on ${name}: ${inUse ? `the ${'path' in where ? 'socket' : 'port'} is in use` : String(cause)}`,
        { server: name, retryable: false, cause },
      )
    }
    // Without a listener, an error of one connection would end the process.
    server.on('error', (error) => failed(`cannot accept a connection on ${name}: ${error.message}`))
    const listener = new Listener(id, server, verification)
    return listener
  }
}

/**
 * Reads `host`, `host:port`, `[::1]`, `[::1]:port` or `::1`, each with or without `notls:`, `btls:` or `mtls:` before
 * it; `*` is every address.
 *
 * @throws MemcacheOptionError if it is invalid.
 */
export function readListenAddress(
  text: string,
  port: number,
): { host: string; port: number; tls: TlsPrefix | undefined } {
  const match =
    /^(?:(notls|btls|mtls):)?(?:\[([^\]]+)\]|([^:]+)|([0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*))(?::(\d+))?$/.exec(
      text,
    )
  const host = match?.[2] ?? match?.[3] ?? match?.[4]
  if (host === undefined) throw new MemcacheOptionError(`-l needs a host or host:port, got '${text}'`)
  return {
    host: host === '*' ? '::' : host,
    port: match?.[5] === undefined ? port : Number(match[5]),
    tls: match?.[1] as TlsPrefix | undefined,
  }
}

async function listenOnPath(
  server: Server,
  { path, mode }: { readonly path: string; readonly mode: number },
  backlog: number,
): Promise<void> {
  removeStaleSocket(path)
  const restore = limitPermissions(mode)
  // Node binds a path within the call.
  server.listen({ path, backlog })
  restore?.()
  await once(server, 'listening')
  if (restore === undefined) chmodSync(path, mode)
}

/**
 * Sets the umask so that new files never have more permissions than `mode`, as memcached does; returns a function that
 * restores it. Returns `undefined` in a worker thread, which cannot set it: the socket then gets its mode a moment
 * later.
 */
function limitPermissions(mode: number): (() => void) | undefined {
  if (!isMainThread) return undefined
  const before = process.umask(~mode & 0o777)
  return () => process.umask(before)
}

/** Removes a stale socket; a file of another kind belongs to another program, and stays. */
function removeStaleSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path)
}
