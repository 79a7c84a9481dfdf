import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { DEFAULT_DASHBOARD_PORT, listenForDashboard } from 'memcache-ts-server/dashboard'
import { DASHBOARD_HINTS, DASHBOARD_OPTION_NAMES, openSource } from './dashboard-source.ts'
import type { DashboardOptions } from './dashboard-source.ts'
import { describeValue } from '../option-types.ts'

/** Options of `startDashboard`. */
export interface StartDashboardOptions extends DashboardOptions {
  /**
   * The address to listen on. An address that other machines can reach requires a `token`, for the page too. Default
   * 127.0.0.1.
   */
  host?: string | undefined
  /** The port; 0 means a free one. Default 11212. */
  port?: number | undefined
}

/** A listening dashboard. */
export interface Dashboard extends AsyncDisposable {
  /** The address of the page, such as `http://127.0.0.1:11212/`. `metrics` and `healthz` are next to it. */
  readonly url: string
  /** Stops listening, ends the streams of all viewers, and closes the dashboard's connections. */
  close(): Promise<void>
}

const MAX_PORT = 65_535
const DEFAULT_SERVERS = '127.0.0.1:11211'

/**
 * Serves a dashboard for any memcached servers on its own port. Without `servers` and `caches` it watches the servers
 * of `MEMCACHE_SERVERS`, or 127.0.0.1:11211. Servers that do not respond are shown as away.
 *
 * @example
 *   const { url } = await startDashboard({ servers: 'a:11211,b:11211' })
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or the dashboard would be open to other machines
 *   without a token.
 * @throws MemcacheConnectionError if it cannot listen.
 */
export async function startDashboard(options: StartDashboardOptions = {}): Promise<Dashboard> {
  checkOptions('startDashboard', options, {
    names: [...DASHBOARD_OPTION_NAMES, 'host', 'port'],
    hints: DASHBOARD_HINTS,
  })
  const { host = '127.0.0.1', port = DEFAULT_DASHBOARD_PORT, token } = options
  if (!Number.isInteger(port) || port < 0 || port > MAX_PORT) {
    throw new MemcacheOptionError(`port must be a whole number from 0 to ${MAX_PORT}, got ${describeValue(port)}`)
  }
  const source = openSource(options, () => fromEnvironment(options))
  const { servers, shared, sharedMetrics } = source
  try {
    const listening = await listenForDashboard({ host, port, token, servers, shared, sharedMetrics })
    const end = async (): Promise<void> => {
      await listening.close()
      await source.close()
    }
    return { url: listening.url, close: end, [Symbol.asyncDispose]: end }
  } catch (error) {
    await source.close()
    throw error
  }
}

function fromEnvironment({ client }: DashboardOptions): DashboardOptions {
  const { MEMCACHE_SERVERS = '', MEMCACHE_USERNAME = '', MEMCACHE_PASSWORD = '' } = process.env
  const servers = MEMCACHE_SERVERS.trim() === '' ? DEFAULT_SERVERS : MEMCACHE_SERVERS
  const credentials =
    MEMCACHE_USERNAME === '' || servers.includes('@')
      ? {}
      : { username: MEMCACHE_USERNAME, password: MEMCACHE_PASSWORD }
  return { servers, client: { ...credentials, ...client } }
}
