import type { IncomingMessage, ServerResponse } from 'node:http'
import { checkOptions } from 'memcache-ts-protocol'
import { checkDashboardAccess, DashboardHandler } from 'memcache-ts-server/dashboard'
import { getDefaultMemcache } from '../default-memcache.ts'
import { DASHBOARD_HINTS, DASHBOARD_OPTION_NAMES, openSource } from './dashboard-source.ts'
import type { DashboardOptions } from './dashboard-source.ts'

/** A middleware for Express, Connect, Nest, or any router of `node:http`. */
export interface DashboardMiddleware extends AsyncDisposable {
  (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): void
  /** Ends the streams of all viewers, and closes the connections that the dashboard has opened. */
  close(): Promise<void>
}

/** A request of Express or Connect: `url` is the path behind the mount point, `originalUrl` the whole path. */
type MountedRequest = IncomingMessage & { readonly originalUrl?: string }

const LOOPBACK = '127.0.0.1'

/**
 * Returns a dashboard for an application's own admin area, under any path; without options, of the process's cache.
 * **Mount it behind the application's own authentication**: the figures, `metrics` and `healthz` need no token. A
 * `token` also enables the key browser and actions.
 *
 * @example
 *   app.use('/admin/cache', onlyAdmins, dashboard())
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function dashboard(options: DashboardOptions = {}): DashboardMiddleware {
  checkOptions('dashboard', options, { names: DASHBOARD_OPTION_NAMES, hints: DASHBOARD_HINTS })
  const { token } = options
  checkDashboardAccess(LOOPBACK, token)
  const source = openSource(options, () => ({ caches: getDefaultMemcache() }))
  const { servers, shared, sharedMetrics } = source
  const handler = new DashboardHandler({
    servers,
    token,
    isTokenRequired: false,
    hosts: undefined,
    shared,
    sharedMetrics,
  })
  const middleware = (request: MountedRequest, response: ServerResponse, next: (error?: unknown) => void): void => {
    if (!handler.has(request)) next()
    else if (isFolderWithoutSlash(request)) redirectToFolder(request, response)
    else handler.handle(request, response).catch(next)
  }
  const close = async (): Promise<void> => {
    handler.close()
    await source.close()
  }
  return Object.assign(middleware, { close, [Symbol.asyncDispose]: close })
}

/**
 * Returns whether the path needs a slash at its end: the page's links are relative, so `/admin/cache` must become
 * `/admin/cache/`.
 */
function isFolderWithoutSlash({ method, url = '/', originalUrl = url }: MountedRequest): boolean {
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead && pathOf(url) === '/' && !pathOf(originalUrl).endsWith('/')
}

/** Redirects relative to the request's own address, since a proxy before the application may have changed the path. */
function redirectToFolder({ originalUrl = '/' }: MountedRequest, response: ServerResponse): void {
  const name = pathOf(originalUrl).split('/').at(-1)!
  response.writeHead(302, { Location: `./${name}/`, 'Cache-Control': 'no-store' }).end()
}

function pathOf(url: string): string {
  return url.split('?')[0]!
}
