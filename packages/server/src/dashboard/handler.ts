import type { IncomingMessage, ServerResponse } from 'node:http'
import { Access, hostOf, isDeliberate, isLoopback, isSameOrigin } from './access.ts'
import { Collector } from './collector.ts'
import type { Shared, Snapshot } from './collector.ts'
import { HttpProblem } from './request-body.ts'
import { readBody } from './request-body.ts'
import { dashboardPage, loginPage } from './page.ts'
import type { Page } from './page.ts'
import { METRICS_CONTENT_TYPE, metricsText } from './prometheus.ts'
import type { SharedMetric } from './prometheus.ts'
import { within } from './server-watch.ts'
import type { DumpedKey, WatchedServer, WatchedServers } from './watched-server.ts'

const MAX_VIEWERS = 100
/** A viewer that reads slower than this misses snapshots. */
const MAX_UNSENT_BYTES = 1024 * 1024
const MAX_LISTED_KEYS = 200
/** The time limit of a search for keys and of an action, in milliseconds. */
const TIMEOUT_MS = 5000
const HEALTH_TIMEOUT_MS = 2000

/** The servers that a dashboard shows, and access to it. */
export interface DashboardHandlerOptions {
  readonly servers: WatchedServers
  /** Opens the key browser and actions; `undefined` if there are none. */
  readonly token: string | undefined
  /** Whether everything but `/healthz` needs the token. */
  readonly isTokenRequired: boolean
  /** The hosts that `Host` may have, besides the names of this machine; `undefined` if any host may be used. */
  readonly hosts: readonly string[] | undefined
  readonly shared?: Shared
  readonly sharedMetrics?: () => readonly SharedMetric[]
}

type Handle = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void

interface Route {
  readonly method: 'GET' | 'POST'
  readonly handle: Handle
  /** Whether it needs the token always, as required, or never. */
  readonly token: 'always' | 'asRequired' | 'never'
}

/** Handles a dashboard's HTTP requests under any mount point; `/` is the page. */
export class DashboardHandler {
  readonly collector: Collector
  readonly #options: DashboardHandlerOptions
  readonly #access: Access
  readonly #viewers = new Set<ServerResponse>()
  /** The running check of the servers. */
  #checking: Promise<{ up: number; servers: number }> | undefined
  readonly #routes: Readonly<Record<string, Route>>

  constructor(options: DashboardHandlerOptions) {
    this.#options = options
    this.#access = new Access(options.token)
    this.collector = new Collector(options.servers, options.shared)
    const get = (handle: Handle, token: Route['token'] = 'asRequired'): Route => ({ method: 'GET', handle, token })
    const post = (handle: Handle, token: Route['token'] = 'always'): Route => ({ method: 'POST', handle, token })
    this.#routes = {
      '/': get((_, response) => sendPage(response, 200, dashboardPage())),
      '/events': get((request, response) => this.#events(request, response)),
      '/metrics': get((_, response) => this.#metrics(response, undefined)),
      '/scrape': get((_, response, url) => this.#metrics(response, url.searchParams.get('target') ?? '')),
      '/healthz': get((_, response) => this.#health(response), 'never'),
      '/keys': get((_, response, url) => this.#keys(response, url), 'always'),
      '/login': post((request, response) => this.#login(request, response), 'never'),
      '/logout': post((request, response) => this.#logout(request, response), 'never'),
      '/delete': post((request, response) => this.#delete(request, response)),
      '/flush': post((request, response) => this.#flush(request, response)),
    }
  }

  /** Returns whether the path of a request exists, for any method. */
  has(request: IncomingMessage): boolean {
    return Object.hasOwn(this.#routes, (request.url ?? '/').split('?')[0]!)
  }

  /** Handles a request. Never rejects: an error becomes a response. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response)
    } catch (error) {
      if (response.headersSent) response.destroy()
      else if (error instanceof HttpProblem) sendProblem(response, error.status, error.message)
      else sendProblem(response, 502, (error as Error).message)
    }
  }

  /** Ends the streams of all viewers. */
  close(): void {
    this.collector.close()
    for (const response of this.#viewers) response.end()
    this.#viewers.clear()
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    setHeaders(response)
    const { hosts } = this.#options
    const host = hostOf(request)
    if (hosts !== undefined && !isLoopback(host) && !hosts.includes(host)) {
      throw new HttpProblem(
        403,
        `this dashboard does not accept requests for the host '${host}': open it by 127.0.0.1 or localhost`,
      )
    }
    const url = urlOf(request)
    const route = Object.hasOwn(this.#routes, url.pathname) ? this.#routes[url.pathname] : undefined
    if (route === undefined) throw new HttpProblem(404, `there is no ${url.pathname}`)
    const method = request.method === 'HEAD' ? 'GET' : request.method
    if (method !== route.method) {
      response.setHeader('Allow', route.method === 'GET' ? 'GET, HEAD' : 'POST')
      throw new HttpProblem(405, `${url.pathname} takes ${route.method}`)
    }
    if (route.method === 'POST' && !isSameOrigin(request)) {
      throw new HttpProblem(403, 'requests from other sites are refused')
    }
    if (!this.#admit(request, response, route)) return
    await route.handle(request, response, url)
  }

  /** Returns whether the request may continue; if not, a response was sent. */
  #admit(request: IncomingMessage, response: ServerResponse, { token, method }: Route): boolean {
    const isNeeded = token === 'always' || (token === 'asRequired' && this.#options.isTokenRequired)
    if (!isNeeded) return true
    if (!this.#access.hasToken) {
      throw new HttpProblem(403, 'this dashboard is read-only: start it with a token for the key browser and actions')
    }
    const access = this.#access.statusOf(request)
    if (access === 'authorized') {
      if (method === 'POST' && !isDeliberate(request)) {
        throw new HttpProblem(403, 'an action needs the header X-Memcache-TS-Dashboard, or Authorization')
      }
      return true
    }
    if (access === 'throttled') throw throttled(response)
    const wantsPage = method === 'GET' && (request.headers.accept ?? '').includes('text/html')
    response.setHeader('WWW-Authenticate', 'Bearer realm="memcached dashboard"')
    if (!wantsPage) throw new HttpProblem(401, 'give the token: Authorization: Bearer <token>')
    sendPage(response, 401, loginPage())
    return false
  }

  #events(request: IncomingMessage, response: ServerResponse): void {
    // If the list of servers cannot be read, the response says so.
    this.#options.servers()
    if (this.#viewers.size >= MAX_VIEWERS) throw new HttpProblem(503, `there are ${MAX_VIEWERS} viewers already`)
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      // `no-transform`: a compressing middleware would hold events back. The second header says the same to nginx.
      'Cache-Control': 'no-store, no-transform',
      'X-Accel-Buffering': 'no',
      // The connection ends with the stream, and does not keep a server that is closed from ending.
      Connection: 'close',
    })
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    response.flushHeaders()
    const send = (event: string, data: unknown): void => {
      if (response.writableLength > MAX_UNSENT_BYTES) return
      response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    }
    const isAuthorized = this.#access.statusOf(request) === 'authorized'
    send('hello', {
      history: this.collector.history(),
      hasToken: this.#access.hasToken,
      isAuthorized,
    })
    const { latest } = this.collector
    if (latest !== undefined) send('snapshot', latest)
    this.#viewers.add(response)
    const unwatch = this.collector.watch((snapshot: Snapshot) => {
      // An application that has closed its server waits for its connections: this stream would never end.
      if (isServerClosed(request) || !this.#mayStay(request)) response.end()
      else send('snapshot', snapshot)
    })
    response.once('close', () => {
      this.#viewers.delete(response)
      unwatch()
    })
  }

  /** Returns whether a viewer may stay connected: if the page needs a token, the end of a session ends its stream. */
  #mayStay(request: IncomingMessage): boolean {
    if (!this.#options.isTokenRequired || request.headers.authorization !== undefined) return true
    return this.#access.statusOf(request) === 'authorized'
  }

  async #metrics(response: ServerResponse, target: string | undefined): Promise<void> {
    const servers = target === undefined ? this.#options.servers() : [this.#server(target)]
    const shared = target === undefined ? (this.#options.sharedMetrics?.() ?? []) : []
    const text = await metricsText(servers, shared)
    send(response, 200, { type: METRICS_CONTENT_TYPE, text })
  }

  /**
   * Responds with 200 while any server responds, so that a load balancer does not drop the application if one of
   * several servers is away. The path needs no token, so concurrent requests share one check of the servers.
   */
  async #health(response: ServerResponse): Promise<void> {
    this.#checking ??= this.#countUp().finally(() => (this.#checking = undefined))
    const { up, servers } = await this.#checking
    const status = up === 0 ? 'down' : up === servers ? 'ok' : 'partial'
    sendJson(response, up === 0 ? 503 : 200, { status, up, servers })
  }

  async #countUp(): Promise<{ up: number; servers: number }> {
    const results = await Promise.all(
      this.#options.servers().map((server) =>
        within(HEALTH_TIMEOUT_MS, server.statistics('')).then(
          () => true,
          () => false,
        ),
      ),
    )
    return { up: results.filter(Boolean).length, servers: results.length }
  }

  async #keys(response: ServerResponse, url: URL): Promise<void> {
    const server = this.#server(url.searchParams.get('server') ?? '')
    const contained = url.searchParams.get('contains') ?? ''
    const keys: DumpedKey[] = []
    const endsAt = performance.now() + TIMEOUT_MS
    const visit = (item: DumpedKey): boolean => {
      if (item.key.includes(contained)) keys.push(item)
      return keys.length < MAX_LISTED_KEYS && performance.now() < endsAt && !response.destroyed
    }
    await within(TIMEOUT_MS, server.dump(visit))
    sendJson(response, 200, { keys, isComplete: keys.length < MAX_LISTED_KEYS })
  }

  async #delete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { server, key } = await readBody(request)
    if (key === undefined || key === '') throw new HttpProblem(400, 'say which key: { "server": …, "key": … }')
    const deleted = await within(TIMEOUT_MS, this.#server(server ?? '').delete(key))
    sendJson(response, 200, { deleted })
  }

  async #flush(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { server = '', confirm } = await readBody(request)
    const watched = this.#server(server)
    if (confirm !== server || server === '') {
      throw new HttpProblem(400, `to flush ${watched.name}, give its name twice: "server" and "confirm"`)
    }
    await within(TIMEOUT_MS, watched.flush())
    sendJson(response, 200, { flushed: true })
  }

  async #login(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { token = '', form } = await readBody(request)
    if (!this.#access.hasToken) throw new HttpProblem(403, 'this dashboard has no token: it is read-only')
    const access = this.#access.check(token, request.socket.remoteAddress)
    if (access === 'throttled') throw throttled(response)
    if (access === 'wrong') {
      if (form === undefined) throw new HttpProblem(401, 'the token is wrong')
      sendPage(response, 401, loginPage())
      return
    }
    response.setHeader('Set-Cookie', this.#access.begin(request))
    if (form === undefined) sendJson(response, 200, { isAuthorized: true })
    else response.writeHead(303, { Location: './' }).end()
  }

  #logout(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('Set-Cookie', this.#access.end(request))
    sendJson(response, 200, { isAuthorized: false })
  }

  #server(name: string): WatchedServer {
    const servers = this.#options.servers()
    const server = name === '' && servers.length === 1 ? servers[0] : servers.find((one) => one.name === name)
    if (server === undefined) throw new HttpProblem(404, `there is no server '${name}' here`)
    return server
  }
}

/** Uses only the path and the query, also of a request line with an absolute URL. */
function urlOf({ url = '/' }: IncomingMessage): URL {
  const text = url.replace(/^\/+/, '/')
  if (!URL.canParse(text, 'http://dashboard')) throw new HttpProblem(400, 'the path cannot be read')
  return new URL(text, 'http://dashboard')
}

function isServerClosed({ socket }: IncomingMessage): boolean {
  const { server } = socket as { server?: { readonly listening?: boolean } }
  return server?.listening === false
}

function throttled(response: ServerResponse): HttpProblem {
  response.setHeader('Retry-After', '60')
  return new HttpProblem(429, 'too many wrong tokens: try again in a minute')
}

function setHeaders(response: ServerResponse): void {
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Referrer-Policy', 'no-referrer')
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
  response.setHeader('Cross-Origin-Resource-Policy', 'same-origin')
  response.setHeader('X-Frame-Options', 'DENY')
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
}

function sendPage(response: ServerResponse, status: number, { html, contentSecurityPolicy }: Page): void {
  response.setHeader('Content-Security-Policy', contentSecurityPolicy)
  send(response, status, { type: 'text/html; charset=utf-8', text: html })
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, { type: 'application/json; charset=utf-8', text: `${JSON.stringify(value)}\n` })
}

function sendProblem(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: message })
}

function send(
  response: ServerResponse,
  status: number,
  { type, text }: { readonly type: string; readonly text: string },
): void {
  // Node leaves the body out for HEAD.
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) }).end(text)
}
