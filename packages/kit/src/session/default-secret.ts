import { randomBytes } from 'node:crypto'
import { MemcacheOptionError } from 'memcache-ts-protocol'

/** One for all sessions of this process, so that two middlewares read each other's cookies. */
let madeUpSecret: string | undefined

/**
 * The secret of the environment; a random one if no other process has to know it.
 *
 * @param owner what needs it: named by the error.
 * @throws MemcacheOptionError if there is none in production, or where the servers are shared.
 */
export function defaultSecret(owner: string, env: NodeJS.ProcessEnv, servers: readonly string[] | undefined): string {
  const secret = env['SESSION_SECRET']
  if (secret !== undefined && secret !== '') return secret
  const shared = (env['MEMCACHE_SERVERS'] ?? '') !== '' || servers?.some((server) => server !== 'embedded') === true
  if (env['NODE_ENV'] === 'production' || shared) {
    throw new MemcacheOptionError(
      `sessions need a secret that all processes share: set SESSION_SECRET, or give ${owner}({ secret })`,
    )
  }
  if (madeUpSecret !== undefined) return madeUpSecret
  process.emitWarning('SESSION_SECRET is not set: using a random one, so sessions end with this process', {
    code: 'MEMCACHE_SESSION_SECRET',
  })
  return (madeUpSecret = randomBytes(32).toString('base64url'))
}
