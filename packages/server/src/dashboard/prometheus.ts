import {
  CRAWLER_SETTING_METRICS,
  EXTSTORE_METRICS,
  GENERAL_METRICS,
  ITEM_METRICS,
  PROXY_METRICS,
  SETTING_METRICS,
  SLAB_METRICS,
} from './metric-table.ts'
import type { StatisticMetric } from './metric-table.ts'
import { shortened } from './figures.ts'
import { optional, within } from './server-watch.ts'
import { byClass, numberOf } from './watched-server.ts'
import type { Statistics, WatchedServer } from './watched-server.ts'

/** The content type of Prometheus's text format. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const TIMEOUT_MS = 5000
const EMPTY: Statistics = {}

type Labels = Readonly<Record<string, string>>

/** A metric in addition to those of memcached: its samples by their labels. */
export interface SharedMetric {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly { readonly labels: Labels; readonly value: number }[]
}

/**
 * Returns the metrics of servers in Prometheus's text format, with the names, types and labels of memcached_exporter.
 * With several servers, each sample has the label `server`.
 */
export async function metricsText(
  servers: readonly WatchedServer[],
  shared: readonly SharedMetric[] = [],
): Promise<string> {
  const exposition = new Exposition()
  const read = await Promise.all(servers.map((server) => readForMetrics(server)))
  for (const [index, statistics] of read.entries()) {
    const labels: Labels = servers.length > 1 ? { server: servers[index]!.name } : {}
    addServer(exposition, statistics, labels)
  }
  for (const { name, type, help, samples } of shared) {
    for (const { labels, value } of samples) exposition.add({ name, type, help }, labels, value)
  }
  return exposition.text()
}

interface ServerStatistics {
  readonly up: boolean
  readonly general: Statistics
  readonly items: Statistics
  readonly slabs: Statistics
  readonly settings: Statistics
}

async function readForMetrics(server: WatchedServer): Promise<ServerStatistics> {
  try {
    const forms = Promise.all([
      server.statistics(''),
      optional(server, 'items'),
      optional(server, 'slabs'),
      optional(server, 'settings'),
    ])
    const [general, items, slabs, settings] = await within(TIMEOUT_MS, forms)
    return { up: true, general, items, slabs, settings }
  } catch {
    return { up: false, general: EMPTY, items: EMPTY, slabs: EMPTY, settings: EMPTY }
  }
}

function addServer(exposition: Exposition, read: ServerStatistics, labels: Labels): void {
  const { up, items, slabs, settings } = read
  const upMetric = { name: 'memcached_up', type: 'gauge', help: 'Whether the server responds.' } as const
  exposition.add(upMetric, labels, up ? 1 : 0)
  if (!up) return
  // The exporter takes the sums behind the slab classes for general statistics.
  const general: Statistics = { ...read.general, total_malloced: slabs['total_malloced'] ?? Number.NaN }
  const version = { version: shortened(general['version'] ?? ''), ...labels }
  const versionMetric = { name: 'memcached_version', type: 'gauge', help: 'The version of the server.' } as const
  exposition.add(versionMetric, version, 1)
  const add = (metrics: readonly StatisticMetric[], statistics: Statistics, more: Labels = {}): void => {
    for (const { name, type, help, statistic, labels: own } of metrics) {
      const value = valueOf(statistics[statistic])
      if (value === undefined) continue
      exposition.add({ name: `memcached_${name}`, type, help }, { ...more, ...own, ...labels }, value)
    }
  }
  add(GENERAL_METRICS, general)
  addSets(exposition, general, {
    name: 'memcached_commands_total',
    cas: ['cas_misses', 'cas_hits', 'cas_badval'],
    labels,
  })
  if ('extstore_limit_maxbytes' in general) add(EXTSTORE_METRICS, general)
  if ('proxy_backend_total' in general) add(PROXY_METRICS, general)
  for (const [slab, statistics] of byClass(items)) add(ITEM_METRICS, statistics, { slab: String(slab) })
  for (const [id, statistics] of byClass(slabs)) {
    const slab = { slab: String(id) }
    add(SLAB_METRICS, statistics, slab)
    const sets = { name: 'memcached_slab_commands_total', cas: ['cas_hits', 'cas_badval'] }
    addSets(exposition, statistics, { ...sets, labels: { ...slab, ...labels } })
  }
  add(SETTING_METRICS, settings)
  if (settings['lru_crawler'] === 'yes') add(CRAWLER_SETTING_METRICS, settings)
}

/** A metric of the command `set`. */
interface SetsMetric {
  readonly name: string
  /** The statistics of `cas`. */
  readonly cas: readonly string[]
  readonly labels: Labels
}

/** Adds the count of `set`: `cmd_set` also counts `cas`, which is a separate command here. */
function addSets(exposition: Exposition, statistics: Statistics, { name, cas, labels }: SetsMetric): void {
  if (!('cmd_set' in statistics) || cas.some((statistic) => !(statistic in statistics))) return
  const sets =
    numberOf(statistics, 'cmd_set') - cas.reduce((sum, statistic) => sum + numberOf(statistics, statistic), 0)
  exposition.add({ name, type: 'counter', help: '' }, { command: 'set', status: 'hit', ...labels }, sets)
}

function valueOf(statistic: string | number | undefined): number | undefined {
  if (statistic === 'yes') return 1
  if (statistic === 'no') return 0
  if (statistic === undefined || statistic === '') return undefined
  const value = Number(statistic)
  return Number.isFinite(value) ? value : undefined
}

type Metric = Pick<StatisticMetric, 'name' | 'type' | 'help'>

/** Samples, collected by the name of the metric, since all samples of a metric must be adjacent. */
class Exposition {
  readonly #metrics = new Map<string, string[]>()

  add({ name, type, help }: Metric, labels: Labels, value: number): void {
    let lines = this.#metrics.get(name)
    if (lines === undefined) {
      lines = [
        `# HELP ${name} ${help.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`)}`,
        `# TYPE ${name} ${type}`,
      ]
      this.#metrics.set(name, lines)
    }
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    lines.push(`${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`)
  }

  text(): string {
    return `${[...this.#metrics.values()].flat().join('\n')}\n`
  }
}

function escaped(text: string): string {
  return text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`)
}
