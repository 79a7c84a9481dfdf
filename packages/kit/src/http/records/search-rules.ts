import { BoundedMap } from '../../bounded-map.ts'
import { ownKeyText } from '../../engine/engine.ts'
import type { CacheEngine } from '../../engine/engine.ts'
import { asSearchRule } from '../policy/no-vary-search.ts'
import type { SearchRule } from '../policy/no-vary-search.ts'
import { sentHostOf, pathOf } from '../policy/request-key.ts'
import type { RequestTarget } from '../policy/request-key.ts'

/** How long a path's rule is used before it is read again. An outdated rule only costs a miss. */
const KNOWN_MS = 10_000
const MAX_REMEMBERED = 10_000

interface KnownRule {
  readonly rule: SearchRule | undefined
  readonly untilMs: number
}

/**
 * The `No-Vary-Search` rules of paths: stored in memcached for all processes, and remembered for some seconds in this
 * process.
 */
export class SearchRules {
  readonly #engine: () => CacheEngine
  readonly #nowMs: () => number
  readonly #known = new BoundedMap<KnownRule>(MAX_REMEMBERED)

  constructor(engine: () => CacheEngine, nowMs: () => number) {
    this.#engine = engine
    this.#nowMs = nowMs
  }

  /** Returns the rule of a request's path; `undefined` if there is none. */
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

  /** Stores the rule of a response for its path; `undefined` means that the path has no rule any more. */
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
  return ownKeyText('http', ['search', scheme, sentHostOf(request) ?? '', pathOf(url)])
}
