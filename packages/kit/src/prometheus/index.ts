import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { Counter, Gauge, register as globalRegister } from 'prom-client'
import type { Registry } from 'prom-client'
import { Memcache } from '../memcache.ts'
import { KIT_METRIC_PREFIX, KIT_METRICS } from '../telemetry/kit-metrics.ts'

/** Options of `collectMemcache`. */
export interface CollectOptions {
  /** The registry of prom-client that gets the metrics. Default: prom-client's own. */
  register?: Registry | undefined
}

const OPTION_NAMES = ['register'] as const satisfies readonly (keyof CollectOptions)[]
const DEFAULT_NAME = 'default'
const LABEL = 'cache'

/**
 * Adds the statistics of caches to a registry of prom-client, as `memcache_ts_…` with the label `cache`. They are read
 * only when the registry is scraped. No label contains keys.
 *
 * @example
 *   collectMemcache({ sessions, reports })
 *   app.get('/metrics', async (_req, res) => res.type(register.contentType).send(await register.metrics()))
 *
 * @param caches a cache, whose label is `default`, or caches by label.
 * @returns a function that removes the metrics.
 * @throws MemcacheOptionError if an option is unknown or invalid, or the registry already has these metrics.
 */
export function collectMemcache(
  caches: Memcache | Readonly<Record<string, Memcache>>,
  options: CollectOptions = {},
): () => void {
  checkOptions('collectMemcache', options, { names: OPTION_NAMES })
  const { register = globalRegister } = options
  const named = Object.entries(caches instanceof Memcache ? { [DEFAULT_NAME]: caches } : caches)
  if (named.length === 0) throw new MemcacheOptionError('collectMemcache needs a cache: collectMemcache(cache)')
  for (const [name, cache] of named) {
    if (!(cache instanceof Memcache))
      throw new MemcacheOptionError(`${name} is not a cache: pass the result of memcache()`)
  }
  const names = KIT_METRICS.map((metric) => KIT_METRIC_PREFIX + metric.name)
  const existing = names.find((name) => register.getSingleMetric(name) !== undefined)
  if (existing !== undefined) {
    throw new MemcacheOptionError(
      `the registry already has ${existing}: call collectMemcache once with all caches: collectMemcache({ a, b })`,
    )
  }
  for (const { type, name, help, read } of KIT_METRICS) {
    const configuration = { name: KIT_METRIC_PREFIX + name, help, labelNames: [LABEL], registers: [] }
    const metric =
      type === 'gauge'
        ? new Gauge({
            ...configuration,
            collect() {
              for (const [label, cache] of named) this.set({ [LABEL]: label }, read(cache.stats()))
            },
          })
        : new Counter({
            ...configuration,
            // prom-client's counters can only be raised: each scrape begins at 0 and adds the whole count.
            collect() {
              this.reset()
              for (const [label, cache] of named) this.inc({ [LABEL]: label }, read(cache.stats()))
            },
          })
    register.registerMetric(metric)
  }
  return () => {
    for (const name of names) register.removeSingleMetric(name)
  }
}
