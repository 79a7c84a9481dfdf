import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MemcacheConnectionError, MemcacheOptionError } from 'memcache-ts-protocol'
import { isLoopback } from './access.ts'
import type { Shared } from './collector.ts'
import { DashboardHandler } from './handler.ts'
import type { SharedMetric } from './prometheus.ts'
import type { WatchedServers } from './watched-server.ts'

/** The default address of a dashboard. */
const DEFAULT_DASHBOARD_HOST = '127.0.0.1'
export const DEFAULT_DASHBOARD_PORT = 11_212

/** The servers that `listenForDashboard` watches, and its address. */
export interface DashboardListenOptions {
  readonly host: string
  readonly port: number
  readonly token: string | undefined
  readonly servers: WatchedServers
  readonly shared?: Shared
  readonly sharedMetrics?: () => readonly SharedMetric[]
}

/** A dashboard that listens. */
export interface ListeningDashboard extends AsyncDisposable {
  /** The URL of the page: `http://127.0.0.1:11212/`. */
  readonly url: string
  readonly port: number
  /** Stops listening, and ends the streams of all viewers. */
  close(): Promise<void>
}

/**
 * Reads `host:port`, `host`, `:port`, a port, `[::1]:port`.
 *
 * @throws MemcacheOptionError if it is invalid.
 */
export function readDashboardAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([\da-fA-F:.]+)\]|([^:[\]\s]*?))(?::(\d+))?$/.exec(/^\d+$/.test(text) ? `:${text}` : text)
  const port = Number(match?.[3] ?? DEFAULT_DASHBOARD_PORT)
  if (match === null || port > 65_535) {
    throw new MemcacheOptionError(
      `the dashboard's address must be host:port, such as 127.0.0.1:${DEFAULT_DASHBOARD_PORT}, got '${text}'`,
    )
  }
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? DEFAULT_DASHBOARD_HOST : host === '*' ? '::' : host, port }
}

/**
 * Refuses a token that is too short, and an address that other machines can reach without a token.
 *
 * @throws MemcacheOptionError that says what to do.
 */
export function checkDashboardAccess(host: string, token: string | undefined): void {
  if (token !== undefined && !(typeof token === 'string' && /^[\x21-\x7e]{8,}$/.test(token))) {
    throw new MemcacheOptionError(
      "the dashboard's token must have at least 8 characters, without spaces: use a random one, such as from `openssl rand -hex 16`",
    )
  }
  if (token === undefined && !isLoopback(host.toLowerCase())) {
    throw new MemcacheOptionError(
      `the dashboard would be open to every client that reaches ${host}: set a token (dashboardToken, --dashboard-token, or the variable MEMCACHE_DASHBOARD_TOKEN), or listen on 127.0.0.1`,
    )
  }
}

/**
 * Serves a dashboard over HTTP.
 *
 * @throws MemcacheOptionError if it would be open to others without a token.
 * @throws MemcacheConnectionError if it cannot listen.
 */
export async function listenForDashboard(options: DashboardListenOptions): Promise<ListeningDashboard> {
  const { host, port, token, servers, shared, sharedMetrics } = options
  checkDashboardAccess(host, token)
  const isOpen = isLoopback(host.toLowerCase())
  const handler = new DashboardHandler({
    servers,
    token,
    isTokenRequired: !isOpen,
    // At other addresses everything needs the token, which a page of another site does not have.
    hosts: isOpen ? [host.toLowerCase()] : undefined,
    ...(shared === undefined ? {} : { shared }),
    ...(sharedMetrics === undefined ? {} : { sharedMetrics }),
  })
  const server = createServer((request, response) => void handler.handle(request, response))
  await open(server, host, port)
  const bound = server.address() as AddressInfo
  const shown = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  const close = async (): Promise<void> => {
    handler.close()
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  return { url: `http://${shown}:${bound.port}/`, port: bound.port, close, [Symbol.asyncDispose]: close }
}

async function open(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const inUse = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const name = `${host}:${port}`
    throw new MemcacheConnectionError(
      `the dashboard cannot listen on ${name}: ${inUse ? 'the port is in use; give another one, such as --dashboard 127.0.0.1:11213' : String(cause)}`,
      { server: name, retryable: false, cause },
    )
  }
}
