import { MemcachedClient } from 'memcache-ts-client'
import type { MemcachedClientOptions, ServerStream } from 'memcache-ts-client'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { Shared, SharedMetric, WatchedServers } from 'memcache-ts-server/dashboard'
import { engineOf } from '../engine/engine.ts'
import { Memcache } from '../memcache.ts'
import { requireOptions } from '../option-types.ts'
import { metricsOf, viewsOf } from './cache-view.ts'
import type { NamedCaches } from './cache-view.ts'
import { serversOf } from './client-server.ts'

/** Options that `dashboard` and `startDashboard` share. */
export interface DashboardOptions {
  /** Caches of this application, by name, or one cache: their servers are watched, and their statistics are shown. */
  caches?: Memcache | Readonly<Record<string, Memcache>> | undefined
  /** Servers to watch instead, as in `MEMCACHE_SERVERS`: `'a:11211,b:11211'`. */
  servers?: string | readonly (string | ServerStream)[] | undefined
  /** Options of the connections to `servers`: credentials, TLS and the like. */
  client?: Omit<MemcachedClientOptions, 'servers' | 'prefix'> | undefined
  /**
   * Enables the key browser and actions (delete a key, flush); at least 8 characters. Default: none, so that the
   * dashboard is read-only.
   */
  token?: string | undefined
}

/** The names of `DashboardOptions`. */
export const DASHBOARD_OPTION_NAMES = [
  'caches',
  'servers',
  'client',
  'token',
] as const satisfies readonly (keyof DashboardOptions)[]

/** Names of these options in other tools. */
export const DASHBOARD_HINTS = {
  cache: 'caches',
  server: 'servers',
  tls: 'client: { tls }',
  username: 'client: { username }',
  password: 'client: { password }',
  dashboardToken: 'token',
}

/** The servers and caches of a dashboard. */
export interface DashboardSource {
  readonly servers: WatchedServers
  readonly shared: Shared
  readonly sharedMetrics: () => readonly SharedMetric[]
  /** Closes the connections that the dashboard has opened. */
  close(): Promise<void>
}

/**
 * Opens the servers and caches that the options name.
 *
 * @param fallback returns other options if these name neither servers nor caches; called at the first request.
 * @throws MemcacheOptionError if a server or a cache is invalid.
 */
export function openSource(options: DashboardOptions, fallback: () => DashboardOptions): DashboardSource {
  let opened = options.caches === undefined && options.servers === undefined ? undefined : open(options)
  const source = (): OpenedSource => (opened ??= open(fallback()))
  return {
    servers: () => source().servers(),
    shared: (views) => viewsOf(source().caches, views),
    sharedMetrics: () => metricsOf(source().caches),
    close: async () => {
      await Promise.all((opened?.clients ?? []).map((client) => client.close()))
    },
  }
}

interface OpenedSource {
  readonly caches: NamedCaches
  readonly servers: WatchedServers
  /**
   * The dashboard's own clients: its requests must not delay the application's, and a proxy that closes the connection
   * on `stats` must not end them.
   */
  readonly clients: readonly MemcachedClient[]
}

function open({ caches, servers, client }: DashboardOptions): OpenedSource {
  if (client !== undefined) requireOptions('the option client of the dashboard', client)
  if (caches !== undefined) requireOptions('the option caches of the dashboard', caches)
  const named = Object.entries(caches === undefined ? {} : caches instanceof Memcache ? { default: caches } : caches)
  for (const [name, cache] of named) {
    if (!(cache instanceof Memcache))
      throw new MemcacheOptionError(`${name} is not a cache: pass the result of memcache()`)
  }
  if (servers === undefined && named.length === 0) {
    throw new MemcacheOptionError('caches is empty: set a cache, or servers to watch')
  }
  const clients =
    servers === undefined
      ? named.map(([, cache]) => engineOf(cache).host.openClient())
      : [new MemcachedClient({ ...client, servers, failover: 'none' })]
  return { caches: named, servers: serversOf(clients), clients }
}
