import type { ServerAddress } from '../server-address.ts'
import { Jump } from './jump.ts'
import { Ketama } from './ketama.ts'
import { Modula } from './modula.ts'
import { Rendezvous } from './rendezvous.ts'
import type { Router } from './router.ts'
import { SpyKetama } from './spy-ketama.ts'

const ROUTERS = {
  ketama: Ketama,
  'ketama-spy': SpyKetama,
  rendezvous: Rendezvous,
  jump: Jump,
  modula: Modula,
} as const satisfies Record<string, new (servers: readonly ServerAddress[]) => Router>

/** How keys are spread over servers. */
export type HashStrategy = keyof typeof ROUTERS

/** All of them, by name. */
export const HASH_STRATEGIES = Object.keys(ROUTERS) as readonly HashStrategy[]

export function createRouter(strategy: HashStrategy, servers: readonly ServerAddress[]): Router {
  return new ROUTERS[strategy](servers)
}
