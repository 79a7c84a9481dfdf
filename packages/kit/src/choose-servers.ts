import cluster from 'node:cluster'
import type { ServerStream } from 'memcache-ts-client'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { embeddedServer } from './embedded-server.ts'
import type { Logger } from './logger.ts'

/** The servers of a `Memcache`: a list as in `MEMCACHE_SERVERS`, or `'embedded'` for the one in this process. */
export type Servers = string | readonly (string | ServerStream)[]

/** The servers that are used, and whether they are the one in this process. */
export interface ChosenServers {
  readonly servers: string | readonly (string | ServerStream)[]
  readonly embedded: boolean
}

/**
 * The option, else `MEMCACHE_SERVERS`, else the server in this process, which is said in one line: with a warning where
 * it can hardly be meant.
 * @throws MemcacheOptionError for credentials in the environment, which this version cannot use.
 */
export function chooseServers(option: Servers | undefined, env: NodeJS.ProcessEnv, logger: Logger): ChosenServers {
  if (option === 'embedded') return { servers: [embeddedServer], embedded: true }
  if (option !== undefined) return { servers: option, embedded: false }
  if ((env['MEMCACHE_USERNAME'] ?? env['MEMCACHE_PASSWORD'] ?? '') !== '') {
    // Going on without them would be refused by the server at best, and at worst talk to the wrong one.
    throw new MemcacheOptionError(
      'this version of memcache-ts has no authentication yet: unset MEMCACHE_USERNAME and MEMCACHE_PASSWORD',
    )
  }
  const fromEnvironment = env['MEMCACHE_SERVERS']
  if (fromEnvironment !== undefined && fromEnvironment.trim() !== '') {
    return { servers: fromEnvironment, embedded: false }
  }
  announceEmbedded(env, logger)
  return { servers: [embeddedServer], embedded: true }
}

let announced = false

function announceEmbedded(env: NodeJS.ProcessEnv, logger: Logger): void {
  if (announced) return
  announced = true
  const what = 'memcache-ts: MEMCACHE_SERVERS is not set: using a memcached in this process (64 MB, gone when it ends)'
  if (cluster.isWorker || env['NODE_APP_INSTANCE'] !== undefined || env['pm_id'] !== undefined) {
    logger.warn(`${what}. Each worker of the cluster has its own: sessions and limits are not shared between them`)
  } else if (env['NODE_ENV'] === 'production') {
    logger.warn(`${what}. In production set MEMCACHE_SERVERS, or say servers: 'embedded' if this is meant`)
  } else {
    logger.info(what)
  }
}
