import type { MemcachedClient } from 'memcache-ts-client'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheReport } from '../observe/cache-report.ts'

/** How long a process believes that the root generation was not raised since it looked. */
const BELIEVED_MS = 1000

/**
 * The generation of everything that is stored under the prefix. It is raised in place of more invalidations than can be remembered, and until then
 * there is none, so that values need not carry it. Each process looks once a second, while it is used, whether it was raised.
 */
export class RootGeneration {
  readonly tagKey: string
  readonly #client: MemcachedClient
  readonly #report: CacheReport
  #isRaised = false
  #lookedAtMs: number | undefined
  #looking: Promise<void> | undefined

  constructor(client: MemcachedClient, tagKey: string, report: CacheReport) {
    this.#client = client
    this.tagKey = tagKey
    this.#report = report
  }

  /** Makes sure that it is known whether it was raised; `undefined` if it is known. */
  known(): Promise<void> | undefined {
    const nowMs = performance.now()
    if (this.#isRaised || (this.#lookedAtMs !== undefined && nowMs - this.#lookedAtMs < BELIEVED_MS)) return undefined
    const isFirst = this.#lookedAtMs === undefined
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined))
    return isFirst ? this.#looking : undefined
  }

  /** From now on what does not carry it is invalid. */
  raised(): void {
    this.#isRaised = true
  }

  /** The tags that a value must carry, or is stored with: these, and the root's, if that was ever raised. */
  with(tagKeys: readonly string[]): readonly string[] {
    return this.#isRaised && !tagKeys.includes(this.tagKey) ? [...tagKeys, this.tagKey] : tagKeys
  }

  async #look(): Promise<void> {
    const found = await orUnavailable(this.#client.get(this.tagKey), this.#report)
    this.#lookedAtMs = performance.now()
    if (found !== UNAVAILABLE && found !== undefined) this.#isRaised = true
  }
}
