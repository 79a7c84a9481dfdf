import { Inject, Injectable } from '@nestjs/common'
import { Memcache, MemcacheOptionError } from 'memcache-ts'
import { checkOptions, requireOptions, requireType } from 'memcache-ts/adapter'

/** Options of `MemcacheHealthIndicator.check`. */
export interface MemcacheHealthOptions {
  /** An application that goes on without its cache is degraded, not down, when no server answers. Default false. */
  optional?: boolean | undefined
  /** How long a server may take to answer, in milliseconds. Default: the cache's `timeoutMs`. */
  timeoutMs?: number | undefined
}

/** What terminus is told of a cache, under the key that it was asked by. */
export type MemcacheHealthResult<Key extends string = string> = Record<
  Key,
  {
    /** With terminus 12 also `degraded`, which the types of terminus 11 would not take. */
    status: 'up' | 'down'
    /** Whether some servers do not answer, for terminus 11, which knows up and down alone. */
    degraded?: true
    /** Each server, and whether it answers. */
    servers: Record<string, 'up' | 'down'>
    /** Why those that do not answer do not. */
    message?: string
  }
>

/**
 * The health of a cache's servers for @nestjs/terminus 11 and 12: `up` when all of them answer, `degraded` when some
 * do or missed invalidations still wait, `down` when none does. In terminus 11, which has no `degraded`, that is `up` with `degraded: true`.
 * @example
 * this.health.check([() => this.memcache.check('memcache')])
 */
@Injectable()
export class MemcacheHealthIndicator {
  readonly #cache: Memcache

  constructor(@Inject(Memcache) cache: Memcache) {
    this.#cache = cache
  }

  /**
   * Asks each server whether it is there. Never rejects for one that is not.
   * @throws MemcacheOptionError for an option that there is not, or without @nestjs/terminus.
   */
  async check<const Key extends string>(
    key: Key,
    options: MemcacheHealthOptions = {},
  ): Promise<MemcacheHealthResult<Key>> {
    requireOptions('MemcacheHealthIndicator.check', options)
    checkOptions('MemcacheHealthIndicator.check', options, ['optional', 'timeoutMs'], { timeout: 'timeoutMs' })
    const { optional = false, timeoutMs } = options
    requireType('MemcacheHealthIndicator.check', 'boolean', { optional })
    const failures = await this.#cache.client.ping(timeoutMs === undefined ? {} : { timeoutMs })
    const session = await terminusSession(key)
    const away = [...failures.values()].filter((failure) => failure !== undefined)
    const servers = Object.fromEntries(
      [...failures].map(([server, failure]) => [server, failure === undefined ? 'up' : 'down'] as const),
    )
    // The servers were asked just now; of the cache's own health counts what they cannot know, such as invalidations that wait.
    if (away.length === 0 && this.#cache.health === 'up') return session.up({ servers }) as MemcacheHealthResult<Key>
    const reasons = [...new Set(away.map(({ message }) => message))]
    const data = { servers, message: reasons.length > 0 ? reasons.join('; ') : RECOVERING }
    if (away.length > 0 && away.length === failures.size && !optional)
      return session.down(data) as MemcacheHealthResult<Key>
    const degraded = session.degraded?.(data) ?? session.up({ ...data, degraded: true })
    return degraded as MemcacheHealthResult<Key>
  }
}

/** Why a cache is degraded though all its servers answer. */
const RECOVERING = 'all servers answer again; invalidations that were missed are still being made up for'

/** What terminus makes results by; `degraded` came with version 12. */
interface TerminusSession {
  up(data: object): object
  down(data: object): object
  degraded?(data: object): object
}

/** Loaded at its first use: who has no health checks needs no terminus. */
async function terminusSession(key: string): Promise<TerminusSession> {
  try {
    const { HealthIndicatorService } = await import('@nestjs/terminus')
    return new HealthIndicatorService().check(key)
  } catch (cause) {
    throw new MemcacheOptionError('MemcacheHealthIndicator needs @nestjs/terminus: npm install @nestjs/terminus', {
      cause,
    })
  }
}
