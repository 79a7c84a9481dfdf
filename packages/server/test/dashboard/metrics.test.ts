import { spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { describeWithCommand } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../../src/index.ts'
import { metricsText } from '../../src/dashboard/prometheus.ts'
import type { Statistics, WatchedServer } from '../../src/dashboard/watched-server.ts'

/**
 * The metrics that memcached_exporter 0.16 documents (its metrics.md and the labels of its source) for a memcached
 * without external storage that is no proxy.
 */
const DOCUMENTED = `
accepting_connections gauge, commands_total counter command status, connections_listener_disabled_total counter, connections_rejected_total
counter, connections_total counter, connections_yielded_total counter, current_bytes gauge, current_connections gauge, current_items gauge,
direct_reclaims_total counter, item_no_memory_total counter, item_too_large_total counter, items_evicted_total counter,
items_reclaimed_total counter, items_total counter, limit_bytes gauge, lru_crawler_enabled gauge, lru_crawler_hot_max_factor gauge,
lru_crawler_hot_percent gauge, lru_crawler_items_checked_total counter, lru_crawler_maintainer_thread gauge,
lru_crawler_moves_to_cold_total counter, lru_crawler_moves_to_warm_total counter, lru_crawler_moves_within_lru_total counter,
lru_crawler_reclaimed_total counter, lru_crawler_sleep gauge, lru_crawler_starts_total counter, lru_crawler_to_crawl gauge,
lru_crawler_warm_max_factor gauge, lru_crawler_warm_percent gauge, malloced_bytes gauge, max_connections gauge,
process_system_cpu_seconds_total counter, process_user_cpu_seconds_total counter, read_bytes_total counter,
slab_chunk_size_bytes gauge slab, slab_chunks_free gauge slab, slab_chunks_free_end gauge slab, slab_chunks_per_page gauge slab,
slab_chunks_used gauge slab, slab_cold_items gauge slab, slab_commands_total counter slab command status, slab_current_chunks gauge slab,
slab_current_items gauge slab, slab_current_pages gauge slab, slab_hot_age_seconds gauge slab, slab_hot_items gauge slab,
slab_items_age_seconds gauge slab, slab_items_crawler_reclaimed_total counter slab, slab_items_evicted_nonzero_total counter slab,
slab_items_evicted_time_seconds counter slab, slab_items_evicted_total counter slab, slab_items_evicted_unfetched_total counter slab,
slab_items_expired_unfetched_total counter slab, slab_items_moves_to_cold counter slab, slab_items_moves_to_warm counter slab,
slab_items_moves_within_lru counter slab, slab_items_outofmemory_total counter slab, slab_items_reclaimed_total counter slab,
slab_items_tailrepairs_total counter slab, slab_lru_hits_total counter slab lru, slab_mem_requested_bytes counter slab,
slab_warm_age_seconds gauge slab, slab_warm_items gauge slab, time_seconds gauge, up gauge, uptime_seconds counter, version gauge version,
written_bytes_total counter`

interface Metric {
  readonly type: string
  readonly labels: readonly string[]
  readonly samples: ReadonlyMap<string, number>
}

function parse(text: string): Map<string, Metric> {
  const metrics = new Map<string, { type: string; labels: string[]; samples: Map<string, number> }>()
  for (const line of text.trimEnd().split('\n')) {
    const [, typed, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (typed !== undefined) metrics.set(typed, { type: type!, labels: [], samples: new Map() })
    if (line.startsWith('#')) continue
    const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!
    const metric = metrics.get(name!)!
    metric.samples.set(labels, Number(value))
    metric.labels = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label!)
  }
  return metrics
}

describe('/metrics', () => {
  let server: MemcachedServer
  let url: string
  let text: string
  let metrics: Map<string, Metric>

  beforeAll(async () => {
    server = new MemcachedServer({ port: 0, dashboard: ':0' })
    const { port } = await server.listen()
    url = server.dashboardUrl!
    const socket = connect(port, '127.0.0.1')
    socket.write('set a 0 0 1\r\n1\r\nset b 0 0 1\r\n1\r\ngets a\r\nget a\r\nget b\r\nget c\r\ncas a 0 0 1 1\r\n2\r\n')
    socket.write(
      'cas a 0 0 1 1\r\n2\r\ncas no 0 0 1 1\r\n2\r\nincr a 1\r\ndecr a 1\r\ntouch b 60\r\ndelete b\r\ndelete b\r\n',
    )
    socket.write('incr no 1\r\nflush_all\r\nset a 0 0 1\r\n1\r\nmn\r\n')
    let answered = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      answered += chunk.toString()
      if (answered.endsWith('MN\r\n')) break
    }
    const response = await fetch(`${url}metrics`)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    text = await response.text()
    metrics = parse(text)
  })
  afterAll(() => server.close())

  it('has the names, types and labels of memcached_exporter', () => {
    const documented = DOCUMENTED.trim()
      .split(',')
      .map((entry) => entry.trim().split(/\s+/))
      .map(([name, type, ...labels]) => [`memcached_${name}`, [type, labels.sort()]] as const)
    const ours = [...metrics].map(([name, { type, labels }]) => [name, [type, [...labels].sort()]] as const)
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(documented))
  })

  it('has the figures of stats', () => {
    const stats = server.stats()
    const value = (name: string, labels = '') => metrics.get(`memcached_${name}`)!.samples.get(labels)
    for (const [name, statistic] of [
      ['current_items', 'curr_items'],
      ['items_total', 'total_items'],
      ['current_bytes', 'bytes'],
      ['limit_bytes', 'limit_maxbytes'],
      ['read_bytes_total', 'bytes_read'],
      ['written_bytes_total', 'bytes_written'],
      ['connections_total', 'total_connections'],
      ['items_evicted_total', 'evictions'],
    ] as const) {
      expect([name, value(name)]).toEqual([name, stats[statistic]])
    }
    expect(value('version', `version="${stats['version']}"`)).toBe(1)
    expect(value('max_connections')).toBe(1024)
  })

  it('counts cas as a separate command, and not as a set', () => {
    const commands = metrics.get('memcached_commands_total')!.samples
    const of = (command: string, status: string) => commands.get(`command="${command}",status="${status}"`)
    expect(of('cas', 'hit')! + of('cas', 'badval')! + of('cas', 'miss')!).toBe(3)
    expect(of('set', 'hit')).toBe(3)
    expect(of('get', 'hit')).toBe(3)
    expect(of('get', 'miss')).toBe(1)
    expect(of('delete', 'hit')).toBe(1)
    expect(of('delete', 'miss')).toBe(1)
    expect(of('flush', 'hit')).toBe(1)
    expect(of('touch', 'hit')).toBe(1)
  })

  it('names each metric once, with all its samples together', () => {
    const names = text.match(/^# TYPE \S+/gm)!
    expect(new Set(names).size).toBe(names.length)
    expect(text.endsWith('\n')).toBe(true)
  })

  it('serves one server as the exporter does for a target', async () => {
    const target = new URL(url)
    const name = (await (await fetch(`${url}healthz`)).json()) as { status: string }
    expect(name.status).toBe('ok')
    const answer = await fetch(new URL('scrape?target=', target))
    expect((await answer.text()).split('\n')[0]).toBe(text.split('\n')[0])
  })

  describeWithCommand({ command: ['promtool', '--version'], debianPackage: 'prometheus' }, 'with promtool', () => {
    it('is readable by Prometheus', () => {
      const { status, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
      expect(stderr + stdout).not.toContain('error while linting')
      // Names that the exporter has and that the linter would have otherwise: counters without `_total`.
      const complaints = (stderr + stdout)
        .split('\n')
        .filter((line) => line !== '' && !/_total|non-counter|abbreviated/.test(line))
      expect(complaints).toEqual([])
      expect([0, 3]).toContain(status)
    })
  })
})

describe('the metrics of several servers', () => {
  const fake = (name: string, statistics: Statistics | undefined): WatchedServer => ({
    name,
    statistics: (form) =>
      statistics === undefined ? Promise.reject(new Error('away')) : Promise.resolve(form === '' ? statistics : {}),
    roundTrip: () => Promise.resolve(undefined),
    dump: () => Promise.resolve(),
    delete: () => Promise.resolve(false),
    flush: () => Promise.resolve(),
    rest: () => {},
  })

  it('have a label for the server, and report which server is away', async () => {
    const text = await metricsText([fake('a:1', { version: '1' }), fake('b:2', undefined)])
    expect(parse(text).get('memcached_up')!.samples).toEqual(
      new Map([
        ['server="a:1"', 1],
        ['server="b:2"', 0],
      ]),
    )
  })

  it('escape the text of a server', async () => {
    const text = await metricsText([fake('a', { version: '1"\\\n2' })])
    expect(text).toContain(String.raw`memcached_version{version="1\"\\\n2"} 1`)
  })

  it.each([
    [
      'external storage',
      'extstore_limit_maxbytes',
      'extstore_page_allocs',
      'memcached_extstore_pages_allocated_total 7',
    ],
    ['a proxy', 'proxy_backend_total', 'proxy_conn_errors', 'memcached_proxy_conn_errors_total 7'],
  ])('have those of %s where the server has it', async (_, marker, statistic, line) => {
    expect(await metricsText([fake('a', { [marker]: 1, [statistic]: 7 })])).toContain(`${line}\n`)
    expect(await metricsText([fake('a', { [statistic]: 7 })])).not.toContain(line)
  })
})
