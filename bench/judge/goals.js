import * as clientFailover from './client-failover.js'
import * as clientFaults from './client-faults.js'
import * as clientSpeed from './client-speed.js'
import * as clientTracing from './client-tracing.js'
import * as memory from './memory.js'
import * as near from './near.js'
import * as stampede from './stampede.js'

/** All goals by name; each has a `description` and a `run` that resolves to whether it was reached, and its figure. */
export const goals = { stampede, near, memory, clientFailover, clientFaults, clientSpeed, clientTracing }
