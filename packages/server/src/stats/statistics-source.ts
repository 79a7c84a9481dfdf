import type { Duplex } from 'node:stream'
import type { CommandContext } from '../commands/command-context.ts'
import type { ConnectionEnds } from '../connection-ends.ts'
import type { Maintenance } from '../maintenance.ts'
import type { ResolvedServerOptions } from '../options.ts'

/** A statistic's name and value. */
export type Statistic = [name: string, value: string | number]

/** A socket that listens for connections; `port` is `undefined` for a unix socket. */
interface ListenerStatus {
  readonly id: number
  readonly address: string
  readonly port: number | undefined
}

/** A UDP socket; `peer` is the sender of the datagram that is being handled. */
interface UdpStatus {
  readonly id: number
  readonly address: string
  readonly port: number
  readonly peer: string | undefined
  readonly lastCommandAt: number
}

interface ConnectionStatus {
  readonly ends: ConnectionEnds
  readonly stream: Duplex
  /** The state by memcached's names (protocol.txt, "Connection statistics"). */
  readonly state: string
  readonly lastCommandAt: number
}

interface TlsStatus {
  /** The second in which the certificates in use were read. */
  readonly refreshedAt: number
  /** Handshakes that are under way. */
  readonly pending: Iterable<{ readonly ends: ConnectionEnds; readonly socket: Duplex; readonly startedAt: number }>
}

/** The source of all statistics. */
export interface StatisticsSource {
  readonly context: CommandContext
  readonly options: ResolvedServerOptions
  readonly maintenance: Maintenance
  readonly listeners: readonly ListenerStatus[]
  readonly udpListeners: readonly UdpStatus[]
  readonly connections: Iterable<ConnectionStatus>
  readonly verbosity: number
  /** `undefined` if nothing is encrypted. */
  readonly tls: TlsStatus | undefined
}
