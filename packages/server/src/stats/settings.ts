import { DEFAULT_HASH_POWER } from '../store/hash-index.ts'
import { readBufferLimit } from '../tuning.ts'
import { TLS_KEY_FORMATS, TLS_VERSIONS } from '../tls/tls-options.ts'
import type { ResolvedTlsOptions, TlsVerifyMode } from '../tls/tls-options.ts'
import type { Statistic, StatisticsSource } from './statistics-source.ts'

/** Returns `stats settings`: the options of the server, with later changes (protocol.txt, "Settings statistics"). */
export function settingStatistics({
  context,
  options,
  listeners,
  udpListeners,
  verbosity,
}: StatisticsSource): Statistic[] {
  const { settings } = context.store
  const { tuning } = options
  const { prefixes, clock } = context
  return [
    ['maxbytes', settings.memoryLimitBytes],
    ['maxconns', options.maxConnections],
    ['tcpport', listeners.find(({ port }) => port !== undefined)?.port ?? 0],
    ['udpport', udpListeners[0]?.port ?? 0],
    ['inter', options.unixSocket === '' ? options.host.join(',') : 'NULL'],
    ['verbosity', verbosity],
    ['oldest', clock.oldestLive],
    ['evictions', options.disableEvictions ? 'off' : 'on'],
    ['domain_socket', options.unixSocket === '' ? 'NULL' : options.unixSocket],
    ['umask', options.unixSocketMode.toString(8)],
    ['shutdown_command', yesNo(options.enableShutdown)],
    ['growth_factor', settings.growthFactor.toFixed(2)],
    ['chunk_size', settings.minItemBytes],
    ['num_threads', 1],
    ['num_threads_per_udp', 1],
    ['stat_key_prefix', prefixes.delimiter],
    ['detail_enabled', yesNo(prefixes.enabled)],
    ['reqs_per_event', options.maxRequestsPerEvent],
    ['cas_enabled', yesNo(!options.disableCas)],
    ['tcp_backlog', options.backlog],
    ['binding_protocol', options.protocol === 'auto' ? 'auto-negotiate' : options.protocol],
    ['auth_enabled_sasl', yesNo(options.saslPasswordFile !== '')],
    ['auth_enabled_ascii', options.authFile === '' ? 'no' : options.authFile],
    ['item_size_max', options.itemMaxBytes],
    ['maxconns_fast', 'yes'],
    ['hashpower_init', settings.hashPower === DEFAULT_HASH_POWER ? 0 : settings.hashPower],
    ['slab_reassign', yesNo(settings.slabReassign)],
    ['slab_automove', settings.slabAutomove],
    ['slab_automove_ratio', settings.slabAutomoveRatio.toFixed(2)],
    ['slab_automove_window', settings.slabAutomoveWindow],
    ['slab_chunk_max', settings.largestChunkBytes],
    ['lru_crawler', yesNo(settings.lruCrawler)],
    ['lru_crawler_sleep', settings.lruCrawlerSleep],
    ['lru_crawler_tocrawl', settings.lruCrawlerTocrawl],
    ['tail_repair_time', settings.tailRepairSeconds],
    ['flush_enabled', yesNo(!options.disableFlushAll)],
    ['dump_enabled', yesNo(!options.disableDumping)],
    ['hash_algorithm', 'marvin32'],
    ['lru_maintainer_thread', yesNo(tuning.lruMaintainer)],
    ['lru_segmented', yesNo(settings.lruSegmented)],
    ['hot_lru_pct', settings.hotLruPercent],
    ['warm_lru_pct', settings.warmLruPercent],
    ['hot_max_factor', settings.hotMaxFactor.toFixed(2)],
    ['warm_max_factor', settings.warmMaxFactor.toFixed(2)],
    ['temp_lru', yesNo(settings.temporaryTtlSeconds !== undefined)],
    ['temporary_ttl', settings.temporaryTtlSeconds ?? 61],
    ['idle_timeout', options.idleTimeoutSeconds],
    ['watcher_logbuf_size', options.watcherBufferBytes],
    ['worker_logbuf_size', 65_536],
    ['read_buf_mem_limit', readBufferLimit(options.maxPendingResponses)],
    ['track_sizes', yesNo(tuning.trackSizes)],
    ['inline_ascii_response', 'no'],
    ...tlsSettings(options.tls),
    ['num_napi_ids', 0],
    ['memory_file', options.memoryFile === '' ? '(null)' : options.memoryFile],
    ['client_flags_size', 4],
  ]
}

/** OpenSSL's numbers: SSL_VERIFY_PEER 1, SSL_VERIFY_FAIL_IF_NO_PEER_CERT 2, SSL_VERIFY_CLIENT_ONCE 4. */
const VERIFY_BITS: Readonly<Record<TlsVerifyMode, number>> = { none: 0, request: 1, require: 3, once: 7 }

function tlsSettings(tls: ResolvedTlsOptions | undefined): Statistic[] {
  return [
    ['ssl_enabled', yesNo(tls !== undefined)],
    ['ssl_chain_cert', tls?.chainCertFile ?? '(null)'],
    ['ssl_key', (tls?.keyFile ?? '') || '(null)'],
    ['ssl_verify_mode', VERIFY_BITS[tls?.verifyMode ?? 'none']],
    ['ssl_keyformat', TLS_KEY_FORMATS.indexOf(tls?.keyFormat ?? 'pem') + 1],
    ['ssl_ciphers', (tls?.ciphers ?? '') || 'NULL'],
    ['ssl_ca_cert', (tls?.caCertFile ?? '') || 'NULL'],
    ['ssl_wbuf_size', tls?.writeBufferBytes ?? 16_384],
    ['ssl_session_cache', yesNo(tls?.sessionCache === true)],
    ['ssl_kernel_tls', 'no'],
    ['ssl_min_version', `tlsv1.${TLS_VERSIONS.indexOf(tls?.minVersion ?? 'TLSv1.2')}`],
  ]
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}
