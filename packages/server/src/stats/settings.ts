import type { StatisticsSource } from './statistics-source.ts'

/** `stats settings`: how the server was started (protocol.txt, "Settings statistics"). */
export function settingStatistics({ options }: StatisticsSource): [string, string | number][] {
  return [
    ['maxbytes', options.memoryLimitMb * 1024 * 1024],
    ['maxconns', options.maxConnections],
    ['tcpport', options.port],
    ['udpport', 0],
    ['inter', options.host],
    ['verbosity', options.verbosity],
    ['evictions', options.disableEvictions ? 'off' : 'on'],
    ['growth_factor', '1.25'],
    ['chunk_size', 48],
    ['num_threads', 1],
    ['cas_enabled', 'yes'],
    ['tcp_backlog', 1024],
    ['item_size_max', options.itemMaxBytes],
    ['slab_chunk_max', 524_288],
    ['flush_enabled', 'yes'],
  ]
}
