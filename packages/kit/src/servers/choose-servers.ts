import cluster from 'node:cluster'
import { parseServers } from 'memcache-ts-client'
import type { ServerStream } from 'memcache-ts-client'
import { embeddedServer } from './embedded-server.ts'
import type { Logger } from '../logger.ts'

/** The servers of a `Memcache`: a list as in `MEMCACHE_SERVERS`, or `'embedded'` for the one in this process. */
export type Servers = string | readonly (string | ServerStream)[]

/** The servers that are used, and whether they are the one in this process. */
export interface ChosenServers {
  readonly servers: string | readonly (string | ServerStream)[]
  readonly embedded: boolean
  /** `MEMCACHE_USERNAME` and `MEMCACHE_PASSWORD`, for servers of the environment that come without credentials. */
  readonly credentials: { readonly username?: string | undefined; readonly password?: string | undefined }
}

/**
 * The option, else `MEMCACHE_SERVERS`, else the server in this process, which is said in one line: with a warning where
 * it can hardly be meant.
 * @throws MemcacheOptionError for a list of servers that cannot be read.
 */
export function chooseServers(option: Servers | undefined, env: NodeJS.ProcessEnv, logger: Logger): ChosenServers {
  if (option === 'embedded') return { servers: [embeddedServer], embedded: true, credentials: {} }
  if (option !== undefined) return { servers: option, embedded: false, credentials: {} }
  const fromEnvironment = nonEmpty(env['MEMCACHE_SERVERS'])
  if (fromEnvironment?.trim() === 'embedded') return { servers: [embeddedServer], embedded: true, credentials: {} }
  if (fromEnvironment !== undefined) {
    const isComplete = parseServers(fromEnvironment).options.username !== undefined
    const credentials = isComplete
      ? {}
      : { username: nonEmpty(env['MEMCACHE_USERNAME']), password: nonEmpty(env['MEMCACHE_PASSWORD']) }
    return { servers: fromEnvironment, embedded: false, credentials }
  }
  announceEmbedded(env, logger)
  return { servers: [embeddedServer], embedded: true, credentials: {} }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
}

/** Names that are taken for `MEMCACHE_SERVERS`. */
const MISTAKEN_NAMES = [
  'MEMCACHED_SERVERS',
  'MEMCACHE_SERVER',
  'MEMCACHED_SERVER',
  'MEMCACHED_URL',
  'MEMCACHE_URL',
] as const

let announced = false

function announceEmbedded(env: NodeJS.ProcessEnv, logger: Logger): void {
  if (announced) return
  announced = true
  const mistaken = MISTAKEN_NAMES.find((name) => nonEmpty(env[name]) !== undefined)
  if (mistaken !== undefined)
    logger.warn(`memcache-ts: ${mistaken} is set and not read: the variable is MEMCACHE_SERVERS`)
  const what = 'memcache-ts: MEMCACHE_SERVERS is not set: using a memcached in this process (64 MB, gone when it ends)'
  if (cluster.isWorker || env['NODE_APP_INSTANCE'] !== undefined || env['pm_id'] !== undefined) {
    logger.warn(`${what}. Each worker of the cluster has its own: sessions and limits are not shared between them`)
  } else if (env['NODE_ENV'] === 'production') {
    logger.warn(`${what}. In production set MEMCACHE_SERVERS, or say servers: 'embedded' if this is meant`)
  } else {
    logger.info(what)
  }
}
