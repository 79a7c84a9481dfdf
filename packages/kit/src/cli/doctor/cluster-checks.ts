import { number } from '../server-figures.ts'
import { bytesText, shareText } from '../units.ts'
import type { Examination, Finding } from './finding.ts'

const MIN_SAMPLE = 100
const MISPLACED_SHARE = 0.05
/** A guess at another client's strategy must explain nearly all keys. */
const EXPLAINED_SHARE = 0.98
const OTHER_STRATEGIES = ['ketama', 'modula', 'ketama-spy', 'rendezvous', 'jump'] as const
/** Keys that are placed by another key, or by another client. */
const PLACED_OTHERWISE = /^(?:~|session:|chunk:)/

type Check = (examination: Examination) => Omit<Finding, 'check' | 'server'>

/** The checks of all servers together, by name. */
export const CLUSTER_CHECKS: Readonly<Record<string, Check>> = {
  sameVersions({ servers }) {
    const versions = [...new Set(servers.map(({ version }) => version))]
    if (versions.length <= 1) return { level: 'ok', text: 'all servers have the same version' }
    return {
      level: 'note',
      text: `the servers have different versions: ${versions.join(', ')}`,
      advice: 'upgrade the older ones at the next opportunity',
    }
  },

  sameItemLimit({ servers }) {
    const limits = [...new Set(servers.map(({ settings }) => number(settings, 'item_size_max')))]
    if (limits.length <= 1) return { level: 'ok', text: `items have up to ${bytesText(limits[0] ?? 0)} everywhere` }
    return {
      level: 'warning',
      text: `the item limit differs: ${limits.map(bytesText).join(', ')}`,
      advice: 'start all servers with the same -I: whether a value can be stored should not depend on its key',
    }
  },

  sameMemory({ servers }) {
    const limits = [...new Set(servers.map(({ statistics }) => number(statistics, 'limit_maxbytes')))]
    if (limits.length <= 1) return { level: 'ok', text: 'all servers have the same memory' }
    return {
      level: 'note',
      text: `memory differs: ${limits.map(bytesText).join(', ')}`,
      advice: 'give the larger servers a larger weight, host:port:weight, in every client’s list',
    }
  },

  /** Checks whether keys are on the servers where this list looks for them. */
  ring(examination) {
    const { servers, client, complete } = examination
    // While a server is away, clients with failover write its keys to others.
    if (!complete) return { level: 'note', text: 'a server is away: the placement of keys was not checked' }
    if (servers.length < 2) return { level: 'ok', text: 'there is only one server' }
    const placed = placedKeys(examination)
    if (placed.length < MIN_SAMPLE) return { level: 'ok', text: `${placed.length} keys: too few to check` }
    const wrong = placed.filter(({ key, server }) => client.serverOf(key) !== server)
    const text = `${shareText(wrong.length, placed.length)} of ${placed.length} sampled keys are on another server than this list looks on`
    if (wrong.length / placed.length < MISPLACED_SHARE) return { level: 'ok', text }
    return { level: 'warning', text, advice: explain(examination, placed) }
  },
}

interface PlacedKey {
  readonly key: string
  readonly server: string
}

function placedKeys({ servers, prefix }: Examination): PlacedKey[] {
  return servers.flatMap(({ name, sample = [] }) =>
    sample.flatMap(({ key }) => {
      if (prefix !== '' && !key.startsWith(`${prefix}:`)) return []
      const own = prefix === '' ? key : key.slice(prefix.length + 1)
      return PLACED_OTHERWISE.test(own) ? [] : [{ key: own, server: name }]
    }),
  )
}

/** Returns what would explain the placement of the keys: another strategy, or a prefix that is not hashed. */
function explain({ clientWith, prefix }: Examination, placed: readonly PlacedKey[]): string {
  for (const hash of OTHER_STRATEGIES) {
    const client = clientWith(hash)
    if (shareOf(placed, ({ key, server }) => client.serverOf(key) === server) >= EXPLAINED_SHARE) {
      return `the strategy ${hash} places them there: use hash: '${hash}' here, or change the other clients`
    }
    const withoutFirst = placed.filter(({ key }) => key.includes(':'))
    if (
      prefix === '' &&
      withoutFirst.length > placed.length / 2 &&
      shareOf(withoutFirst, ({ key, server }) => client.serverOf(key.slice(key.indexOf(':') + 1)) === server) >=
        EXPLAINED_SHARE
    ) {
      return `${hash} places them there if the part before the first colon is a prefix: set it with --prefix`
    }
  }
  return 'the clients’ lists differ in order, weights or names, or servers were replaced recently: use exactly the same list everywhere'
}

function shareOf<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  return items.filter(holds).length / Math.max(1, items.length)
}
