import { number } from '../server-figures.ts'
import { bytesText, countText, durationText, latencyText, shareText } from '../units.ts'
import type { Examined, Finding } from './finding.ts'

const CLOCK_TOLERANCE_SECONDS = 2
const SHORT_UPTIME_SECONDS = 3600
const DEFAULT_MEMORY_BYTES = 64 * 1024 * 1024
const SPARE_MEMORY_BYTES = 1024 ** 3
const MIN_LOOKUPS = 1000
const LOW_HIT_SHARE = 0.5
const FULL_SHARE = 0.8
const EARLY_EVICTION_SECONDS = 3600
const MIN_SAMPLE = 100
const MANY_WITHOUT_TTL_SHARE = 0.2
const HOT_SHARE = 0.2
const HOT_PER_SECOND = 1000
/** The first version with the final form of the meta commands. */
const FIRST_META_VERSION = [1, 6, 13] as const

type Check = (server: Examined) => Omit<Finding, 'check' | 'server'>

/** The checks of one server, by name. */
export const SERVER_CHECKS: Readonly<Record<string, Check>> = {
  latency({ latencyMs, slowMs }) {
    const text = `a round trip takes ${latencyText(latencyMs)} at the median`
    if (latencyMs <= slowMs) return { level: 'ok', text }
    return {
      level: 'warning',
      text,
      advice: 'every read waits for it: run memcached in the same zone, or keep hot values in memory (l1)',
    }
  },

  version({ version }) {
    const parts = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number)
    if (parts === undefined)
      return { level: 'note', text: `the version is '${version}', which is not a memcached version: it may be a proxy` }
    if (compare(parts, FIRST_META_VERSION) >= 0) return { level: 'ok', text: `memcached ${version}` }
    return {
      level: 'warning',
      text: `memcached ${version} has no meta commands`,
      advice: `upgrade to ${FIRST_META_VERSION.join('.')} or later: leases, limits and sessions take more round trips without them`,
    }
  },

  uptime({ statistics }) {
    const text = `up for ${durationText(number(statistics, 'uptime'))}`
    if (number(statistics, 'uptime') >= SHORT_UPTIME_SECONDS) return { level: 'ok', text }
    return { level: 'note', text: `${text}: its figures are not representative yet` }
  },

  clock({ statistics, nowSeconds }) {
    const difference = Math.abs(number(statistics, 'time') - nowSeconds)
    if (difference <= CLOCK_TOLERANCE_SECONDS) return { level: 'ok', text: 'the clock agrees with this machine’s' }
    return {
      level: 'warning',
      text: `the clock differs from this machine’s by ${durationText(difference)}`,
      advice: 'synchronize both (NTP): lifetimes over 30 days are absolute times',
    }
  },

  hitRatio({ statistics }) {
    const hits = number(statistics, 'get_hits')
    const lookups = hits + number(statistics, 'get_misses')
    if (lookups < MIN_LOOKUPS) return { level: 'ok', text: `${countText(lookups)} lookups: too few to check` }
    const text = `${shareText(hits, lookups)} of ${countText(lookups)} lookups hit`
    if (hits / lookups >= LOW_HIT_SHARE) return { level: 'ok', text }
    return {
      level: 'warning',
      text,
      advice:
        'lifetimes are short, keys differ unnecessarily (a time, an order of parameters), or items are evicted: see evictions',
    }
  },

  evictions({ statistics, items }) {
    const evictions = number(statistics, 'evictions')
    const uptime = number(statistics, 'uptime')
    if (evictions === 0) return { level: 'ok', text: 'nothing was evicted' }
    const ages = Object.keys(items).filter((name) => /^items:\d+:evicted_time$/.test(name))
    const used = ages.map((name) => number(items, name)).filter((age) => age > 0)
    const age = used.length === 0 ? undefined : Math.min(...used)
    const text = `${countText(evictions)} items were evicted, ${countText(evictions / Math.max(1, uptime))} a second${age === undefined ? '' : `; the last one had not been read for ${durationText(age)}`}`
    if (age === undefined || age >= EARLY_EVICTION_SECONDS) return { level: 'note', text }
    return {
      level: 'warning',
      text,
      advice: 'items are evicted while they are in use: raise -m, add a server, or shorten lifetimes',
    }
  },

  memory({ statistics }) {
    const limit = number(statistics, 'limit_maxbytes')
    const bytes = number(statistics, 'bytes')
    const evictions = number(statistics, 'evictions')
    const text = `${bytesText(bytes)} of ${bytesText(limit)} in use`
    if (limit <= DEFAULT_MEMORY_BYTES && evictions > 0) {
      return {
        level: 'warning',
        text: `${text}, and items are evicted`,
        advice: '-m 64 is only memcached’s default: raise it as far as the machine allows',
      }
    }
    if (limit >= SPARE_MEMORY_BYTES && bytes < limit / 10 && number(statistics, 'uptime') > 24 * SHORT_UPTIME_SECONDS) {
      return { level: 'note', text: `${text} after ${durationText(number(statistics, 'uptime'))}: -m could be lower` }
    }
    return { level: 'ok', text }
  },

  refusedStores({ statistics, settings }) {
    const tooLarge = number(statistics, 'store_too_large')
    const noMemory = number(statistics, 'store_no_memory')
    if (noMemory > 0) {
      return {
        level: 'warning',
        text: `${countText(noMemory)} values were refused because memory was full`,
        advice: 'raise -m, and do not run with -M',
      }
    }
    if (tooLarge > 0) {
      return {
        level: 'warning',
        text: `${countText(tooLarge)} values were larger than ${bytesText(number(settings, 'item_size_max'))}`,
        advice: 'compress them, store them in chunks (chunkBytes), or raise -I on all servers',
      }
    }
    return { level: 'ok', text: 'no value was refused' }
  },

  evictionsAllowed({ settings }) {
    if (settings['evictions'] !== 'off') return { level: 'ok', text: 'the oldest items make room for new ones' }
    return {
      level: 'warning',
      text: 'with -M, stores fail once memory is full',
      advice: 'start it without -M, unless it is a store and not a cache',
    }
  },

  connections({ statistics, settings }) {
    const max = number(statistics, 'max_connections') || number(settings, 'maxconns')
    const now = number(statistics, 'curr_connections')
    const refusedTimes = number(statistics, 'listen_disabled_num')
    const rejected = number(statistics, 'rejected_connections')
    const text = `${countText(now)} of ${countText(max)} connections`
    if (refusedTimes > 0 || rejected > 0) {
      return {
        level: 'warning',
        text: `${text}; the limit was reached before`,
        advice: 'raise -c, or lower poolSize times processes',
      }
    }
    if (max > 0 && now / max > FULL_SHARE) return { level: 'warning', text, advice: 'raise -c before it is reached' }
    return { level: 'ok', text }
  },

  keysWithoutTtl({ sample }) {
    if (sample === undefined)
      return {
        level: 'note',
        text: 'the server does not list keys (lru_crawler): lifetimes and placement were not checked',
      }
    if (sample.length < MIN_SAMPLE) return { level: 'ok', text: `${sample.length} keys: too few to check` }
    const unlimited = sample.filter(({ expires }) => !expires)
    const text = `${shareText(unlimited.length, sample.length)} of ${countText(sample.length)} sampled keys never expire`
    if (unlimited.length / sample.length < MANY_WITHOUT_TTL_SHARE) return { level: 'ok', text }
    return {
      level: 'warning',
      text: `${text}, such as ${unlimited[0]!.key.slice(0, 60)}`,
      advice:
        'set a lifetime for every value: otherwise a value whose invalidation was missed stays wrong until it is evicted',
    }
  },

  hotKeys({ fetches }) {
    if (fetches === undefined) return { level: 'note', text: 'fetches were not watched, so hot keys are unknown' }
    const total = [...fetches.values()].reduce((sum, rate) => sum + rate, 0)
    const [key, rate] = [...fetches].toSorted(([, a], [, b]) => b - a)[0] ?? ['', 0]
    if (rate < HOT_PER_SECOND || rate / total < HOT_SHARE)
      return { level: 'ok', text: `no key is much hotter than the others (${countText(total)} fetches a second)` }
    return {
      level: 'warning',
      text: `${key.slice(0, 60)} is fetched ${countText(rate)} times a second, ${shareText(rate, total)} of all`,
      advice: 'keep it in memory: memcache({ l1: true })',
    }
  },
}

function compare(version: readonly number[], other: readonly number[]): number {
  for (let index = 0; index < other.length; index++) {
    const difference = (version[index] ?? 0) - other[index]!
    if (difference !== 0) return difference
  }
  return 0
}
