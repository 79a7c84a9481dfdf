import type { ServerAddress } from '../server-address.ts'
import { Jump, Modula, Rendezvous, WithoutPrefix } from './router.ts'
import { Ketama, SpyKetama } from './ketama.ts'
import type { Router } from './router.ts'
import type { SocketName } from './ketama.ts'

const ROUTERS = {
  ketama: Ketama,
  'ketama-spy': SpyKetama,
  rendezvous: Rendezvous,
  jump: Jump,
  modula: Modula,
} as const satisfies Record<string, new (servers: readonly ServerAddress[], socketName: SocketName) => Router>

/** The name of a method that distributes keys over servers. */
export type HashStrategy = keyof typeof ROUTERS

/** The names of all methods. */
export const HASH_STRATEGIES = Object.keys(ROUTERS) as readonly HashStrategy[]

/** The options of a router. */
export interface RoutingOptions {
  readonly hash: HashStrategy
  /** The prefix of every key. */
  readonly prefix: string
  readonly hashWithPrefix: boolean
  readonly hashSocketsAs: SocketName
}

export function createRouter(options: RoutingOptions, servers: readonly ServerAddress[]): Router {
  const router = new ROUTERS[options.hash](servers, options.hashSocketsAs)
  return options.hashWithPrefix || options.prefix === '' ? router : new WithoutPrefix(router, options.prefix)
}
