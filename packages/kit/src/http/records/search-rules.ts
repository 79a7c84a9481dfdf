import { LRUCache } from 'lru-cache'
import { ownKeyText } from '../../engine/engine.ts'
import type { CacheEngine } from '../../engine/engine.ts'
import { asSearchRule } from '../policy/no-vary-search.ts'
import type { SearchRule } from '../policy/no-vary-search.ts'
import { hostOf, pathOf } from '../policy/request-key.ts'
import type { RequestTarget } from '../policy/request-key.ts'

/**
 * How long what is known of a path is used before it is read again. A rule that is not known yet costs a miss, and
 * nothing else.
 */
const KNOWN_MS = 10_000
const MAX_REMEMBERED = 10_000

interface KnownRule {
  readonly rule: SearchRule | undefined
  readonly untilMs: number
}

/**
 * What responses have said of the queries of their paths (`No-Vary-Search`): in memcached for all processes, and
 * remembered for some seconds in this one.
 */
export class SearchRules {
  readonly #engine: () => CacheEngine
  readonly #nowMs: () => number
  readonly #known = new LRUCache<string, KnownRule>({ max: MAX_REMEMBERED })

  constructor(engine: () => CacheEngine, nowMs: () => number) {
    this.#engine = engine
    this.#nowMs = nowMs
  }

  /** The rule of the path of a request; `undefined` if there is none. */
  async of(target: RequestTarget): Promise<SearchRule | undefined> {
    const key = keyOf(target)
    const known = this.#known.get(key)
    if (known !== undefined && known.untilMs > this.#nowMs()) return known.rule
    const engine = this.#engine()
    const found = (await engine.get(engine.storedKey(key), [])) as { key?: unknown; rule?: unknown } | undefined
    const rule = found?.key === key ? asSearchRule(found.rule) : undefined
    this.#remember(key, rule)
    return rule
  }

  /** Keeps the rule of a path that a response has told; `undefined`: that there is none any more. */
  async learn(target: RequestTarget, rule: SearchRule | undefined, tagKeys: readonly string[]): Promise<void> {
    const key = keyOf(target)
    this.#remember(key, rule)
    const engine = this.#engine()
    const name = engine.storedKey(key)
    if (rule === undefined) await engine.delete(name)
    else await engine.set(name, { value: { key, rule }, ttlSeconds: '30d', tagKeys })
  }

  #remember(key: string, rule: SearchRule | undefined): void {
    this.#known.set(key, { rule, untilMs: this.#nowMs() + KNOWN_MS })
  }
}

function keyOf({ request, url, scheme }: RequestTarget): string {
  return ownKeyText('http', ['search', scheme, hostOf(request) ?? '', pathOf(url)])
}
