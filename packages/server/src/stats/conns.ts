import type { Statistic, StatisticsSource } from './statistics-source.ts'

/** `stats conns`: every listening socket and connection (protocol.txt, "Connection statistics"). */
export function connectionStatistics({ context, listeners, connections }: StatisticsSource): Statistic[] {
  const lines: Statistic[] = []
  const { now } = context.store
  for (const { id, address } of listeners) {
    lines.push([`${id}:addr`, address], [`${id}:state`, 'conn_listening'], [`${id}:secs_since_last_cmd`, now])
  }
  for (const { ends, state, lastCommandAt } of connections) {
    const { id, peer, listenAddress } = ends
    lines.push(
      [`${id}:addr`, peer],
      [`${id}:listen_addr`, listenAddress],
      [`${id}:state`, state],
      [`${id}:secs_since_last_cmd`, now - lastCommandAt],
    )
  }
  return lines
}
