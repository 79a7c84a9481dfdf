import type { CommandContext } from '../commands/command-context.ts'
import type { Connection } from '../connection.ts'
import type { Listener } from '../listener.ts'
import type { Maintenance } from '../maintenance.ts'
import type { ResolvedServerOptions } from '../options.ts'
import type { TlsAcceptor } from '../tls/tls-acceptor.ts'
import type { UdpListener } from '../udp/udp-listener.ts'

/** A statistic's name and value. */
export type Statistic = [name: string, value: string | number]

/** Where statistics are read from. */
export interface StatisticsSource {
  readonly context: CommandContext
  readonly options: ResolvedServerOptions
  readonly maintenance: Maintenance
  readonly listeners: readonly Listener[]
  readonly udpListeners: readonly UdpListener[]
  readonly connections: Iterable<Connection>
  readonly verbosity: number
  /** `undefined` where nothing is encrypted. */
  readonly tls: TlsAcceptor | undefined
}
