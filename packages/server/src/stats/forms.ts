import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { generalStatistics } from './general.ts'
import { itemStatistics, slabStatistics } from './slabs.ts'
import { settingStatistics } from './settings.ts'
import type { Statistic, StatisticsSource } from './statistics-source.ts'
import { peerText } from '../connection-ends.ts'
import type { ConnectionEnds } from '../connection-ends.ts'

const FORMS: Readonly<Record<string, (source: StatisticsSource) => Statistic[]>> = {
  '': generalStatistics,
  settings: settingStatistics,
  items: itemStatistics,
  slabs: slabStatistics,
  sizes: sizeStatistics,
  conns: connectionStatistics,
}

/** Returns the statistics of a form, '' for the general form; `undefined` if the form is unknown. */
export function statisticsOf(form: string, source: StatisticsSource): Statistic[] | undefined {
  return Object.hasOwn(FORMS, form) ? FORMS[form]!(source) : undefined
}

/** Returns `stats sizes`: how many items there are of each size (protocol.txt, "Item size statistics"). */
function sizeStatistics({ context }: StatisticsSource): Statistic[] {
  const { sizes } = context.store
  return sizes === undefined
    ? [['sizes_status', 'disabled']]
    : sizes.entries().map(([bytes, count]) => [String(bytes), count])
}

/** A connection in `stats conns`. */
interface ListedConnection {
  readonly ends: ConnectionEnds
  readonly stream: Duplex
  readonly state: string
  readonly lastCommandAt: number
}

/** Returns `stats conns`: every listening socket and connection (protocol.txt, "Connection statistics"). */
function connectionStatistics(source: StatisticsSource): Statistic[] {
  const { context, listeners, udpListeners, connections, tls } = source
  const lines: Statistic[] = []
  const { now } = context.store
  for (const { id, address } of listeners) {
    lines.push([`${id}:addr`, address], [`${id}:state`, 'conn_listening'], [`${id}:secs_since_last_cmd`, now])
  }
  for (const { id, address, peer, lastCommandAt } of udpListeners) {
    lines.push([`${id}:UDP`, 'UDP'], [`${id}:addr`, peer ?? address])
    if (peer !== undefined) lines.push([`${id}:listen_addr`, address])
    const state = peer === undefined ? 'conn_read' : 'conn_parse_cmd'
    lines.push([`${id}:state`, state], [`${id}:secs_since_last_cmd`, now - lastCommandAt])
  }
  const add = ({ ends, stream, state, lastCommandAt }: ListedConnection): void => {
    const { id, peer, listenAddress } = ends
    lines.push(
      // memcached's name for a client of a unix socket, which has no address.
      [`${id}:addr`, peer === 'unix:' ? '?:<AF 0>' : peer],
      [`${id}:listen_addr`, localAddress(stream) ?? listenAddress],
      [`${id}:state`, state],
      [`${id}:secs_since_last_cmd`, now - lastCommandAt],
    )
  }
  for (const connection of connections) add(connection)
  // memcached calls a handshake reading, too.
  for (const { ends, socket, startedAt } of tls?.pending ?? [])
    add({ ends, stream: socket, state: 'conn_read', lastCommandAt: startedAt })
  return lines
}

/** Returns the local address of a TCP connection, which is a single one even if the listener's is a wildcard. */
function localAddress(stream: Duplex): string | undefined {
  if (!(stream instanceof Socket) || stream.localAddress === undefined) return undefined
  return peerText(stream.localAddress, stream.localPort)
}
