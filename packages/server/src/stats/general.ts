import { total } from '../store/store-statistics.ts'
import { PROTOCOL_VERSION } from '../version.ts'
import type { Statistic, StatisticsSource } from './statistics-source.ts'

/**
 * Returns `stats`, with memcached 1.6.45's names in its order; statistics that do not apply to this server are 0, and
 * features that are off have no lines (protocol.txt, "General-purpose statistics").
 */
export function generalStatistics(source: StatisticsSource): Statistic[] {
  const { context, options, maintenance, tls } = source
  const { store, counters, replies, clock, events } = context
  const { settings, statistics } = store
  const usage = process.cpuUsage()
  const { slabReassign, lruCrawler } = settings
  const { lruMaintainer } = options.tuning
  return [
    ['pid', process.pid],
    ['uptime', clock.uptimeSeconds()],
    ['time', clock.unixSeconds()],
    ['version', PROTOCOL_VERSION],
    ['libevent', `libuv-${process.versions.uv}`],
    ['pointer_size', 64],
    ['rusage_user', (usage.user / 1e6).toFixed(6)],
    ['rusage_system', (usage.system / 1e6).toFixed(6)],
    ['max_connections', options.maxConnections],
    ['curr_connections', counters.currConnections],
    ['total_connections', counters.totalConnections],
    ['rejected_connections', counters.rejectedConnections],
    ['connection_structures', counters.currConnections],
    ['response_obj_oom', counters.responseObjOom],
    ['response_obj_count', 0],
    ['response_obj_bytes', 0],
    ['read_buf_count', 1],
    ['read_buf_bytes', 65_536],
    ['read_buf_bytes_free', 0],
    ['read_buf_oom', 0],
    ['reserved_fds', 20],
    ['cmd_get', counters.cmdGet],
    ['cmd_set', total(counters.cmdSet)],
    ['cmd_flush', counters.cmdFlush],
    ['cmd_touch', counters.cmdTouch],
    ['cmd_meta', counters.cmdMeta],
    ['get_hits', total(statistics.hits)],
    ['get_misses', counters.getMisses],
    ['get_expired', store.counters.getExpired],
    ['get_flushed', store.counters.getFlushed],
    ['delete_misses', counters.deleteMisses],
    ['delete_hits', total(counters.deleteHits)],
    ['incr_misses', counters.incrMisses],
    ['incr_hits', total(counters.incrHits)],
    ['decr_misses', counters.decrMisses],
    ['decr_hits', total(counters.decrHits)],
    ['cas_misses', counters.casMisses],
    ['cas_hits', total(counters.casHits)],
    ['cas_badval', total(counters.casBadval)],
    ['touch_hits', total(counters.touchHits)],
    ['touch_misses', counters.touchMisses],
    ['store_too_large', counters.storeTooLarge],
    ['store_no_memory', counters.storeNoMemory],
    ['auth_cmds', counters.authCommands],
    ['auth_errors', counters.authErrors],
    ...when(options.idleTimeoutSeconds > 0, [['idle_kicks', counters.idleKicks]]),
    ['bytes_read', counters.bytesRead],
    ['bytes_written', replies.bytesWritten],
    ['limit_maxbytes', settings.memoryLimitBytes],
    ['accepting_conns', 1],
    ['listen_disabled_num', 0],
    ['time_in_listen_disabled_us', 0],
    ['threads', 1],
    ['conn_yields', counters.connYields],
    ['hash_power_level', store.index.power],
    ['hash_bytes', store.index.bytes],
    ['hash_is_expanding', store.index.isExpanding ? 1 : 0],
    ...when(slabReassign, [
      ['slab_reassign_rescues', store.counters.rescues],
      ['slab_reassign_chunk_rescues', store.counters.chunkRescues],
      ['slab_reassign_inline_reclaim', store.counters.inlineReclaim],
      ['slab_reassign_busy_items', store.counters.busyItems],
      ['slab_reassign_busy_deletes', store.counters.busyDeletes],
      ['slab_reassign_busy_nomem', store.counters.busyNoMemory],
      ['slab_reassign_last_busy_status', store.counters.lastBusyStatus],
      ['slab_reassign_running', maintenance.mover.isRunning ? 1 : 0],
      ['slabs_moved', store.counters.pagesMoved],
    ]),
    ...when(lruCrawler, [
      ['lru_crawler_running', maintenance.isCrawling ? 1 : 0],
      ['lru_crawler_starts', store.counters.crawlerStarts],
    ]),
    ...when(lruMaintainer, [['lru_maintainer_juggles', store.counters.maintainerJuggles]]),
    ['malloc_fails', 0],
    ['log_worker_dropped', 0],
    ['log_worker_written', events.written],
    ['log_watcher_skipped', events.skipped],
    ['log_watcher_sent', events.sent],
    ['log_watchers', events.watchers],
    ...when(options.tls?.sessionCache === true, [['ssl_new_sessions', counters.sslNewSessions]]),
    ...when(tls !== undefined, [
      ['ssl_handshake_errors', counters.sslHandshakeErrors],
      ['ssl_proto_errors', counters.sslProtoErrors],
      ['time_since_server_cert_refresh', store.now - (tls?.refreshedAt ?? 0)],
    ]),
    ['unexpected_napi_ids', 0],
    ['round_robin_fallback', 0],
    ['bytes', store.counters.bytes],
    ['curr_items', store.counters.currItems],
    ['total_items', store.counters.totalItems],
    ['slab_global_page_pool', store.slabs.pooledPages],
    ['expired_unfetched', total(statistics.expiredUnfetched)],
    ['evicted_unfetched', total(statistics.evictedUnfetched)],
    ...when(lruMaintainer, [['evicted_active', total(statistics.evictedActive)]]),
    ['evictions', total(statistics.evicted)],
    ['reclaimed', total(statistics.reclaimed)],
    ['crawler_reclaimed', total(statistics.crawlerReclaimed)],
    ['crawler_items_checked', total(statistics.crawlerItemsChecked)],
    ['lrutail_reflocked', total(statistics.tailReflocked)],
    ...when(lruMaintainer, [
      ['moves_to_cold', total(statistics.movesToCold)],
      ['moves_to_warm', total(statistics.movesToWarm)],
      ['moves_within_lru', total(statistics.movesWithinLru)],
      ['direct_reclaims', total(statistics.directReclaims)],
      ['lru_bumps_dropped', 0],
    ]),
  ]
}

function when(holds: boolean, lines: Statistic[]): Statistic[] {
  return holds ? lines : []
}
