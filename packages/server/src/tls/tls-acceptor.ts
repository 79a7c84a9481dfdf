import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer } from 'node:tls'
import type { SecureContextOptions, Server, TLSSocket } from 'node:tls'
import { unrefTimer } from 'memcache-ts-protocol'
import type { ConnectionEnds } from '../connection-ends.ts'
import type { ServerCounters } from '../stats/server-counters.ts'
import { opensslMessage, readTlsFiles } from './tls-files.ts'
import type { ResolvedTlsOptions } from './tls-options.ts'

/** Whether a listener requests or requires client certificates. */
export type PeerVerification = 'none' | 'request' | 'require'

/** A connection in its handshake. */
export interface Handshake {
  readonly socket: Socket
  readonly ends: ConnectionEnds
  /** The second in which it began. */
  readonly startedAt: number
  /** Whether it is finished, so that the connection is served. */
  isSecured: boolean
}

/** Receives the outcomes of handshakes. */
export interface HandshakeOwner {
  readonly counters: ServerCounters
  /** Returns the current second. */
  now(): number
  secured(stream: TLSSocket, ends: ConnectionEnds): void
  /** Reports an error of TLS, which ends the connection. */
  failed(connectionId: number, message: string): void
  /** Reports a connection that was closed before its handshake was finished. */
  abandoned(ends: ConnectionEnds): void
}

const MODES = ['none', 'request', 'require'] as const
/** Node's own limit starts again with every received byte, so it is disabled; ours counts from the start. */
const NODES_TIMEOUT_MS = 0x7fff_ffff

/**
 * Turns accepted sockets into TLS connections. It has the running handshakes, and the certificates for later
 * handshakes.
 *
 * Each `PeerVerification` has a `tls.Server` that never listens and gets sockets that were accepted elsewhere. Each
 * server has its own keys for session tickets: a session that began where no client certificate is required must not be
 * resumed where a certificate is required, since a resumed session is not verified again.
 */
export class TlsAcceptor {
  /** The second in which the certificates in use were read. */
  refreshedAt: number
  readonly #options: ResolvedTlsOptions
  readonly #owner: HandshakeOwner
  /**
   * The pending handshakes by address, oldest first: `node:tls` does not reveal which accepted socket a secure socket
   * belongs to.
   */
  readonly #pending = new Map<string, Handshake>()
  readonly #ticketKeys = new Map<PeerVerification, Buffer>()
  #authorities: string | undefined
  #servers: ReadonlyMap<PeerVerification, Server>
  #timer: NodeJS.Timeout | undefined

  /** @throws MemcacheOptionError if a file cannot be read or used. */
  constructor(options: ResolvedTlsOptions, owner: HandshakeOwner) {
    this.#options = options
    this.#owner = owner
    this.#servers = this.#makeServers(readTlsFiles(options))
    this.refreshedAt = owner.now()
  }

  /** The verification of listeners without a prefix. */
  get verification(): PeerVerification {
    const { verifyMode } = this.#options
    return verifyMode === 'once' ? 'require' : verifyMode
  }

  get pending(): Iterable<Handshake> {
    return this.#pending.values()
  }

  /**
   * Reads the files again, for the connections that come from now on.
   *
   * @throws MemcacheOptionError if a file cannot be used; then the earlier files stay in use.
   */
  refresh(): void {
    this.#servers = this.#makeServers(readTlsFiles(this.#options))
    this.refreshedAt = this.#owner.now()
  }

  /** Begins the handshake on an accepted socket that has not been read. */
  accept(socket: Socket, verification: PeerVerification, ends: ConnectionEnds): void {
    const addresses = addressesOf(socket)
    const handshake: Handshake = { socket, ends, startedAt: this.#owner.now(), isSecured: false }
    this.#pending.set(addresses, handshake)
    this.#timer ??= unrefTimer(setInterval(() => this.#endOverdue(), 1000))
    socket.on('error', () => {})
    socket.once('close', () => {
      // A client that disconnected before it was accepted has no address, so that several may have the same name.
      if (this.#pending.get(addresses) === handshake) this.#pending.delete(addresses)
      if (!handshake.isSecured) this.#owner.abandoned(ends)
    })
    this.#servers.get(verification)!.emit('connection', socket)
  }

  /** Ends the running handshakes. */
  close(): void {
    clearInterval(this.#timer)
    for (const { socket } of this.#pending.values()) socket.destroy()
  }

  #makeServers(files: SecureContextOptions): ReadonlyMap<PeerVerification, Server> {
    const authorities = JSON.stringify(files.ca)
    // A session remembers that its client was verified, with the authorities of that time.
    if (authorities !== this.#authorities) for (const mode of MODES) this.#ticketKeys.set(mode, randomBytes(48))
    this.#authorities = authorities
    return new Map(MODES.map((mode) => [mode, this.#makeServer(files, mode)]))
  }

  #makeServer(files: SecureContextOptions, mode: PeerVerification): Server {
    const server = createServer({
      ...files,
      ticketKeys: this.#ticketKeys.get(mode)!,
      sessionIdContext: `memcached ${mode}`,
      requestCert: mode !== 'none',
      rejectUnauthorized: mode === 'require',
      handshakeTimeout: NODES_TIMEOUT_MS,
    })
    server.on('secureConnection', (stream) => this.#secured(stream, mode))
    server.on('tlsClientError', (error, stream) => this.#failed(error, stream))
    return server
  }

  #secured(stream: TLSSocket, mode: PeerVerification): void {
    const { counters } = this.#owner
    const addresses = addressesOf(stream)
    const handshake = this.#pending.get(addresses)
    if (handshake === undefined || hasInvalidCertificate(stream, mode)) {
      this.#failed(new Error(String(stream.authorizationError ?? 'the connection was closed')), stream)
      stream.destroy()
      return
    }
    const { ends } = handshake
    handshake.isSecured = true
    this.#pending.delete(addresses)
    if (this.#options.sessionCache && !stream.isSessionReused()) counters.sslNewSessions++
    stream.on('error', (error) => {
      if (!isTlsError(error)) return
      counters.sslProtoErrors++
      this.#owner.failed(ends.id, opensslMessage(error))
    })
    this.#owner.secured(stream, ends)
  }

  #failed(error: Error, stream: TLSSocket): void {
    const { authorizationError } = stream as {
      authorizationError?: Error | string | null
    }
    const isRefused = authorizationError !== undefined && authorizationError !== null
    // A client that disconnects is no error of TLS.
    if (!isTlsError(error) && !isRefused) return
    this.#owner.counters.sslHandshakeErrors++
    const id = this.#pending.get(addressesOf(stream))?.ends.id ?? 0
    this.#owner.failed(
      id,
      isRefused ? `client certificate refused: ${String(authorizationError)}` : opensslMessage(error),
    )
  }

  #endOverdue(): void {
    const before = this.#owner.now() - this.#options.handshakeTimeoutSeconds
    for (const { socket, startedAt } of this.#pending.values()) {
      if (startedAt > before) break
      socket.destroy()
    }
    if (this.#pending.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** Returns the addresses of a connection; no two open connections have the same. */
function addressesOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

/**
 * Returns whether a client has sent an invalid certificate although none is required. Node accepts it; memcached
 * accepts only a valid certificate or none.
 */
function hasInvalidCertificate(stream: TLSSocket, mode: PeerVerification): boolean {
  return mode === 'request' && !stream.authorized && stream.getPeerX509Certificate() !== undefined
}

function isTlsError(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code?.startsWith('ERR_SSL_') === true || code === 'ERR_TLS_HANDSHAKE_TIMEOUT'
}
