import cluster from 'node:cluster'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { parseServers } from 'memcache-ts-client'
import type { ServerStream } from 'memcache-ts-client'
import type { MemcachedServer } from 'memcache-ts-server'
import type { Logger } from './logger.ts'

/** The servers of a `Memcache`: a list as in `MEMCACHE_SERVERS`, or `'embedded'` for the server in this process. */
export type Servers = string | readonly (string | ServerStream)[]

/** The servers that are used, and whether that is the server in this process. */
export interface ChosenServers {
  readonly servers: string | readonly (string | ServerStream)[]
  readonly embedded: boolean
  /** `MEMCACHE_USERNAME` and `MEMCACHE_PASSWORD`, if the servers come from the environment without credentials. */
  readonly credentials: { readonly username?: string | undefined; readonly password?: string | undefined }
}

/**
 * Returns the servers of the option, or of `MEMCACHE_SERVERS`, or the server in this process. The use of the server in
 * this process is logged once: as a warning in production, or in a cluster, whose workers would each have their own
 * server.
 *
 * @throws MemcacheOptionError if a list of servers cannot be parsed.
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

/** Names that are commonly mistaken for `MEMCACHE_SERVERS`. */
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
  if (mistaken !== undefined) logger.warn(`memcache-ts: ${mistaken} is set, but not used: set MEMCACHE_SERVERS instead`)
  const what = 'memcache-ts: MEMCACHE_SERVERS is not set: using a memcached in this process (64 MB, gone when it ends)'
  if (cluster.isWorker || env['NODE_APP_INSTANCE'] !== undefined || env['pm_id'] !== undefined) {
    logger.warn(`${what}. Each worker of the cluster has its own: sessions and limits are not shared between them`)
  } else if (env['NODE_ENV'] === 'production') {
    logger.warn(`${what}. In production set MEMCACHE_SERVERS, or servers: 'embedded' if this is intended`)
  } else {
    logger.info(what)
  }
}

let server: Promise<MemcachedServer> | undefined

/** The memcached in this process. All caches share it; its module is loaded when the first of them connects. */
const embeddedServer: ServerStream = {
  name: 'embedded',
  connect(): Duplex {
    const [ours, theirs] = duplexPair()
    // One end of a pair does not notice that the other end was destroyed.
    ours.once('close', () => theirs.destroy())
    server ??= import('memcache-ts-server').then((module) => new module.MemcachedServer())
    server.then(
      (started) => started.handle(theirs),
      (error: Error) => ours.destroy(error),
    )
    return ours
  },
}
