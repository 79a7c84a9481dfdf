import * as cacheAway from './cache-away.js'
import * as clientFailover from './client-failover.js'
import * as clientFaults from './client-faults.js'
import * as clientSpeed from './client-speed.js'
import * as clientTracing from './client-tracing.js'
import * as expressCost from './express-cost.js'
import * as hotKey from './hot-key.js'
import * as install from './install.js'
import * as keys from './keys.js'
import * as killedWinner from './killed-winner.js'
import * as limitsAway from './limits-away.js'
import * as limiterMemory from './limiter-memory.js'
import * as limits from './limits.js'
import * as many from './many.js'
import * as memoryTier from './memory-tier.js'
import * as memory from './memory.js'
import * as near from './near.js'
import * as responseCache from './response-cache.js'
import * as sessionWrites from './session-writes.js'
import * as sessionsAway from './sessions-away.js'
import * as stampede from './stampede.js'
import * as tags from './tags.js'

/** All goals by name; each has a `description` and a `run` that resolves to whether it was reached, and its figure. */
export const goals = {
  stampede,
  keys,
  killedWinner,
  hotKey,
  many,
  tags,
  memoryTier,
  cacheAway,
  responseCache,
  near,
  limits,
  limitsAway,
  limiterMemory,
  sessionWrites,
  sessionsAway,
  memory,
  clientFailover,
  clientFaults,
  clientSpeed,
  clientTracing,
  expressCost,
  install,
}
