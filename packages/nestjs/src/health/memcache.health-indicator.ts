import { Inject, Injectable } from '@nestjs/common'
import { Memcache, MemcacheOptionError } from 'memcache-ts'
import { checkOptions, requireOptions, requireType } from 'memcache-ts/adapter'

/** Options of `MemcacheHealthIndicator.check`. */
export interface MemcacheHealthOptions {
  /**
   * Whether the application can do without its cache, so that it is degraded, not down, if no server responds. Default
   * false.
   */
  optional?: boolean | undefined
  /** The time limit for a server's response, in milliseconds. Default: the cache's `timeoutMs`. */
  timeoutMs?: number | undefined
}

/** The result for terminus, under the key of the check. */
export type MemcacheHealthResult<Key extends string = string> = Record<
  Key,
  {
    /** The status; with terminus 12 also `degraded`, which the types of terminus 11 do not allow. */
    status: 'up' | 'down'
    /** Whether some servers do not respond, for terminus 11, which has no status `degraded`. */
    degraded?: true
    /** The status of each server. */
    servers: Record<string, 'up' | 'down'>
    /** The errors of the servers that do not respond. */
    message?: string
  }
>

/**
 * The health of a cache's servers for @nestjs/terminus 11 and 12: `up` if all of them respond; `degraded` if some do
 * not, or invalidations are pending; `down` if none responds. In terminus 11, `degraded` is `up` with `degraded:
 * true`.
 *
 * @example
 *   this.health.check([() => this.memcache.check('memcache')])
 */
@Injectable()
export class MemcacheHealthIndicator {
  readonly #cache: Memcache

  constructor(@Inject(Memcache) cache: Memcache) {
    this.#cache = cache
  }

  /**
   * Pings each server. It does not reject if a server does not respond.
   *
   * @throws MemcacheOptionError if an option is unknown or invalid, or @nestjs/terminus is not installed.
   */
  async check<const Key extends string>(
    key: Key,
    options: MemcacheHealthOptions = {},
  ): Promise<MemcacheHealthResult<Key>> {
    requireOptions('MemcacheHealthIndicator.check', options)
    checkOptions('MemcacheHealthIndicator.check', options, {
      names: ['optional', 'timeoutMs'],
      hints: { timeout: 'timeoutMs' },
    })
    const { optional = false, timeoutMs } = options
    requireType('MemcacheHealthIndicator.check', 'boolean', { optional })
    const failures = await this.#cache.client.ping(timeoutMs === undefined ? {} : { timeoutMs })
    const session = await terminusSession(key)
    const away = [...failures.values()].filter((failure) => failure !== undefined)
    const servers = Object.fromEntries(
      [...failures].map(([server, failure]) => [server, failure === undefined ? 'up' : 'down'] as const),
    )
    // The servers were pinged just now. The cache's own health adds what a ping cannot show, such as pending
    // invalidations.
    if (away.length === 0 && this.#cache.health === 'up') return session.up({ servers }) as MemcacheHealthResult<Key>
    const reasons = [...new Set(away.map(({ message }) => message))]
    const data = { servers, message: reasons.length > 0 ? reasons.join('; ') : RECOVERING }
    if (away.length > 0 && away.length === failures.size && !optional)
      return session.down(data) as MemcacheHealthResult<Key>
    const degraded = session.degraded?.(data) ?? session.up({ ...data, degraded: true })
    return degraded as MemcacheHealthResult<Key>
  }
}

/** The message of a degraded cache whose servers all respond. */
const RECOVERING = 'all servers respond again; the invalidations that they missed are still being sent again'

/** The part of terminus that creates results; `degraded` exists since version 12. */
interface TerminusSession {
  up(data: object): object
  down(data: object): object
  degraded?(data: object): object
}

/** Loads terminus at the first use, so that applications without health checks do not need it. */
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
