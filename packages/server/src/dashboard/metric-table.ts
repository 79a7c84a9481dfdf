/** A metric of memcached_exporter that is one statistic. */
export interface StatisticMetric {
  /** The metric's name, without `memcached_`. */
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  /** The statistic's name. */
  readonly statistic: string
  /** Labels other than `slab`. */
  readonly labels?: Readonly<Record<string, string>>
}

const counter = (name: string, statistic: string, help: string) => ({ name, type: 'counter', help, statistic }) as const
const gauge = (name: string, statistic: string, help: string) => ({ name, type: 'gauge', help, statistic }) as const
const labelled = (labels: Readonly<Record<string, string>>, metric: StatisticMetric) => ({ ...metric, labels })

const COMMANDS_HELP = 'Requests by command and status.'
const SLAB_COMMANDS_HELP = 'Requests by command and status, of the slab class.'

/**
 * Metrics of `stats`. Names, types and labels are those of prometheus/memcached_exporter 0.16, so that its dashboards
 * and alerts work.
 */
export const GENERAL_METRICS: readonly StatisticMetric[] = [
  counter('uptime_seconds', 'uptime', 'Seconds since the server was started.'),
  gauge('time_seconds', 'time', "The server's clock, as a Unix time."),
  ...['get', 'delete', 'incr', 'decr', 'cas', 'touch'].flatMap((command) => [
    labelled({ command, status: 'hit' }, counter('commands_total', `${command}_hits`, COMMANDS_HELP)),
    labelled({ command, status: 'miss' }, counter('commands_total', `${command}_misses`, COMMANDS_HELP)),
  ]),
  labelled({ command: 'cas', status: 'badval' }, counter('commands_total', 'cas_badval', COMMANDS_HELP)),
  labelled({ command: 'flush', status: 'hit' }, counter('commands_total', 'cmd_flush', COMMANDS_HELP)),
  counter('process_user_cpu_seconds_total', 'rusage_user', 'User time of the process.'),
  counter('process_system_cpu_seconds_total', 'rusage_system', 'System time of the process.'),
  gauge('current_bytes', 'bytes', 'Bytes that items take.'),
  gauge('limit_bytes', 'limit_maxbytes', 'Bytes that items may take (-m).'),
  gauge('current_items', 'curr_items', 'Items stored now.'),
  counter('items_total', 'total_items', 'Items stored since the start.'),
  counter('read_bytes_total', 'bytes_read', 'Bytes read from the network.'),
  counter('written_bytes_total', 'bytes_written', 'Bytes written to the network.'),
  gauge('current_connections', 'curr_connections', 'Open connections.'),
  counter('connections_total', 'total_connections', 'Connections opened since the start.'),
  counter('connections_rejected_total', 'rejected_connections', 'Connections refused because of the limit (-c).'),
  counter('connections_yielded_total', 'conn_yields', 'Times that a connection had to yield to others (-R).'),
  counter(
    'connections_listener_disabled_total',
    'listen_disabled_num',
    'Times that the listener was disabled at the limit (-c).',
  ),
  counter('items_evicted_total', 'evictions', 'Items evicted before their time, to make room.'),
  counter('items_reclaimed_total', 'reclaimed', 'Items stored in the memory of an expired item.'),
  counter('item_too_large_total', 'store_too_large', 'Items refused because of their size (-I).'),
  counter('item_no_memory_total', 'store_no_memory', 'Items refused for lack of memory.'),
  counter('lru_crawler_starts_total', 'lru_crawler_starts', 'Runs of the LRU crawler.'),
  counter(
    'direct_reclaims_total',
    'direct_reclaims',
    'Evictions and reclaims by requests, instead of in the background.',
  ),
  counter('lru_crawler_items_checked_total', 'crawler_items_checked', 'Items examined by the LRU crawler.'),
  counter('lru_crawler_reclaimed_total', 'crawler_reclaimed', 'Expired items freed by the LRU crawler.'),
  counter('lru_crawler_moves_to_cold_total', 'moves_to_cold', 'Items moved from HOT or WARM to COLD.'),
  counter('lru_crawler_moves_to_warm_total', 'moves_to_warm', 'Items moved from COLD to WARM.'),
  counter('lru_crawler_moves_within_lru_total', 'moves_within_lru', 'Items moved to the head of HOT or WARM.'),
  gauge('malloced_bytes', 'total_malloced', 'Bytes allocated to slab pages.'),
  gauge('accepting_connections', 'accepting_conns', 'Whether the server accepts connections.'),
]

/** Metrics of `stats` with external storage. */
export const EXTSTORE_METRICS: readonly StatisticMetric[] = [
  counter('extstore_compact_lost_total', 'extstore_compact_lost', 'Items lost in compaction.'),
  counter('extstore_compact_rescues_total', 'extstore_compact_rescues', 'Items moved in compaction.'),
  counter('extstore_compact_skipped_total', 'extstore_compact_skipped', 'Inactive items dropped in compaction.'),
  counter('extstore_pages_allocated_total', 'extstore_page_allocs', 'Pages allocated.'),
  counter('extstore_pages_evicted_total', 'extstore_page_evictions', 'Pages evicted.'),
  counter('extstore_pages_reclaimed_total', 'extstore_page_reclaims', 'Empty pages freed.'),
  gauge('extstore_pages_free', 'extstore_pages_free', 'Pages without items.'),
  gauge('extstore_pages_used', 'extstore_pages_used', 'Pages with items.'),
  counter('extstore_objects_evicted_total', 'extstore_objects_evicted', 'Items evicted.'),
  counter('extstore_objects_read_total', 'extstore_objects_read', 'Items read.'),
  counter('extstore_objects_written_total', 'extstore_objects_written', 'Items written.'),
  gauge('extstore_objects_used', 'extstore_objects_used', 'Items stored now.'),
  counter('extstore_bytes_evicted_total', 'extstore_bytes_evicted', 'Bytes evicted.'),
  counter('extstore_bytes_written_total', 'extstore_bytes_written', 'Bytes written.'),
  counter('extstore_bytes_read_total', 'extstore_bytes_read', 'Bytes read.'),
  counter('extstore_bytes_used', 'extstore_bytes_used', 'Bytes that items take.'),
  gauge('extstore_bytes_fragmented', 'extstore_bytes_fragmented', 'Bytes in pages that no item uses.'),
  gauge('extstore_bytes_limit', 'extstore_limit_maxbytes', 'Bytes of external storage.'),
  gauge('extstore_io_queue_depth', 'extstore_io_queue', 'Items in the I/O queue.'),
]

/** Metrics of `stats` of memcached as a proxy. */
export const PROXY_METRICS: readonly StatisticMetric[] = [
  counter('proxy_conn_requests_total', 'proxy_conn_requests', 'Connections to backends.'),
  counter('proxy_conn_errors_total', 'proxy_conn_errors', 'Errors of connections to backends.'),
  counter('proxy_conn_oom_total', 'proxy_conn_oom', 'Connections refused for lack of memory.'),
  gauge('proxy_req_active', 'proxy_req_active', 'Requests under way.'),
  counter('proxy_config_reloads_total', 'proxy_config_reloads', 'Reloads of the configuration.'),
  counter('proxy_config_reload_fails_total', 'proxy_config_reload_fails', 'Reloads of the configuration that failed.'),
  counter('proxy_config_cron_runs_total', 'proxy_config_cron_runs', 'Runs of cron hooks.'),
  counter('proxy_config_cron_fails_total', 'proxy_config_cron_fails', 'Runs of cron hooks that failed.'),
  gauge('proxy_backend_total', 'proxy_backend_total', 'Backends.'),
  counter('proxy_backend_marked_bad_total', 'proxy_backend_marked_bad', 'Times that a backend was marked as bad.'),
  counter('proxy_backend_failed', 'proxy_backend_failed', 'Failures of backends.'),
  counter(
    'proxy_request_failed_depth_total',
    'proxy_request_failed_depth',
    'Requests refused because of the depth limit.',
  ),
  counter('round_robin_fallback_total', 'round_robin_fallback', 'Connections assigned round robin.'),
  counter('unexpected_napi_ids_total', 'unexpected_napi_ids', 'Connections with an unexpected NAPI id.'),
]

/** Metrics of `stats items`, with the label `slab`. */
export const ITEM_METRICS: readonly StatisticMetric[] = [
  gauge('slab_current_items', 'number', 'Items stored now.'),
  gauge('slab_items_age_seconds', 'age', 'Age of the oldest item.'),
  ...['hot', 'warm', 'cold', 'temp'].map((segment) =>
    labelled(
      {
        lru: segment === 'temp' ? 'temporary' : segment,
      },
      counter('slab_lru_hits_total', `hits_to_${segment}`, 'Gets that found an item in the LRU.'),
    ),
  ),
  counter('slab_items_crawler_reclaimed_total', 'crawler_reclaimed', 'Expired items freed by the LRU crawler.'),
  counter('slab_items_evicted_total', 'evicted', 'Items evicted before their time.'),
  counter(
    'slab_items_evicted_nonzero_total',
    'evicted_nonzero',
    'Items with an expiry time that were evicted before it.',
  ),
  counter(
    'slab_items_evicted_time_seconds',
    'evicted_time',
    'Seconds between the last access and the eviction of the item that was evicted last.',
  ),
  counter('slab_items_evicted_unfetched_total', 'evicted_unfetched', 'Items evicted that were never fetched.'),
  counter('slab_items_expired_unfetched_total', 'expired_unfetched', 'Items expired that were never fetched.'),
  counter('slab_items_outofmemory_total', 'outofmemory', 'Items refused for lack of memory.'),
  counter('slab_items_reclaimed_total', 'reclaimed', 'Items stored in the memory of an expired item.'),
  counter('slab_items_tailrepairs_total', 'tailrepairs', 'Items that were held for too long and were freed.'),
  counter('slab_items_moves_to_cold', 'moves_to_cold', 'Items moved from HOT or WARM to COLD.'),
  counter('slab_items_moves_to_warm', 'moves_to_warm', 'Items moved from COLD to WARM.'),
  counter('slab_items_moves_within_lru', 'moves_within_lru', 'Items moved to the head of HOT or WARM.'),
  counter('slab_mem_requested_bytes', 'mem_requested', 'Bytes that items take.'),
  gauge('slab_hot_items', 'number_hot', 'Items in the HOT LRU.'),
  gauge('slab_warm_items', 'number_warm', 'Items in the WARM LRU.'),
  gauge('slab_cold_items', 'number_cold', 'Items in the COLD LRU.'),
  gauge('slab_temporary_items', 'number_temp', 'Items in the TEMPORARY LRU.'),
  gauge('slab_hot_age_seconds', 'age_hot', 'Age of the oldest item in the HOT LRU.'),
  gauge('slab_warm_age_seconds', 'age_warm', 'Age of the oldest item in the WARM LRU.'),
]

/** Metrics of `stats slabs`, with the label `slab`. */
export const SLAB_METRICS: readonly StatisticMetric[] = [
  ...['get', 'delete', 'incr', 'decr', 'cas', 'touch'].map((command) =>
    labelled({ command, status: 'hit' }, counter('slab_commands_total', `${command}_hits`, SLAB_COMMANDS_HELP)),
  ),
  labelled({ command: 'cas', status: 'badval' }, counter('slab_commands_total', 'cas_badval', SLAB_COMMANDS_HELP)),
  gauge('slab_chunk_size_bytes', 'chunk_size', 'Bytes of a chunk.'),
  gauge('slab_chunks_per_page', 'chunks_per_page', 'Chunks of a page.'),
  gauge('slab_current_pages', 'total_pages', 'Pages of the slab class.'),
  gauge('slab_current_chunks', 'total_chunks', 'Chunks of the slab class.'),
  gauge('slab_chunks_used', 'used_chunks', 'Chunks with an item.'),
  gauge('slab_chunks_free', 'free_chunks', 'Chunks without an item.'),
  gauge('slab_chunks_free_end', 'free_chunks_end', 'Free chunks at the end of the last page.'),
]

/** Metrics of `stats settings`. */
export const SETTING_METRICS: readonly StatisticMetric[] = [
  gauge('max_connections', 'maxconns', 'Connections allowed (-c).'),
]

/** Metrics of `stats settings` if the LRU crawler is on. `yes` and `no` count as 1 and 0. */
export const CRAWLER_SETTING_METRICS: readonly StatisticMetric[] = [
  gauge('lru_crawler_enabled', 'lru_crawler', 'Whether the LRU crawler is on.'),
  gauge('lru_crawler_sleep', 'lru_crawler_sleep', 'Microseconds between two steps of the LRU crawler.'),
  gauge('lru_crawler_to_crawl', 'lru_crawler_tocrawl', 'Items that a run examines at most in a slab class.'),
  gauge('lru_crawler_maintainer_thread', 'lru_maintainer_thread', 'Whether LRUs are split and kept in the background.'),
  gauge('lru_crawler_hot_percent', 'hot_lru_pct', 'Percent of a slab class for the HOT LRU.'),
  gauge('lru_crawler_warm_percent', 'warm_lru_pct', 'Percent of a slab class for the WARM LRU.'),
  gauge('lru_crawler_hot_max_factor', 'hot_max_factor', 'Idle age of the HOT LRU, as a factor of that of COLD.'),
  gauge('lru_crawler_warm_max_factor', 'warm_max_factor', 'Idle age of the WARM LRU, as a factor of that of COLD.'),
]
