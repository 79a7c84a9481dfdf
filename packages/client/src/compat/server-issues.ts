import type { MemcachedClient } from '../memcached-client.ts'

/** The details of a server in npm memcached's events. */
export interface IssueDetails {
  server: string
  /** The port and the host, or a unix socket's path. */
  tokens: string[]
  /** The error messages since the server was last reached, in their order. */
  messages: string[]
  /** The number of failures since then. */
  failures: number
  totalFailures: number
  totalReconnectsAttempted: number
  totalReconnectsSuccess: number
  totalReconnectsFailed: number
  /** The time since the server was last reached, in milliseconds. */
  totalDownTime: number
}

/** npm memcached's events. */
export interface MemcachedEvents {
  /** A connection failed or was lost. */
  issue: [details: IssueDetails]
  /** The server does not respond. */
  failure: [details: IssueDetails]
  /** The server will be tried again. */
  reconnecting: [details: IssueDetails]
  /** The server responds again. */
  reconnect: [details: IssueDetails]
  /** With `remove`: its keys go to the next server. */
  remove: [details: IssueDetails]
}

interface ServerLog {
  readonly messages: string[]
  failures: number
  totalFailures: number
  attempted: number
  succeeded: number
  downSinceMs: number | undefined
}

/** Emits npm memcached's events for a client's servers. */
export function reportIssues(
  client: MemcachedClient,
  { removes }: { readonly removes: boolean },
  emit: (event: keyof MemcachedEvents, details: IssueDetails) => void,
): void {
  const logs = new Map<string, ServerLog>()
  const logOf = (server: string): ServerLog => {
    const known = logs.get(server)
    if (known !== undefined) return known
    const made = { messages: [], failures: 0, totalFailures: 0, attempted: 0, succeeded: 0, downSinceMs: undefined }
    logs.set(server, made)
    return made
  }
  const fail = (server: string, error: Error): void => {
    const log = logOf(server)
    // The list is cleared when the server is reached; until then its length is limited.
    if (log.messages.length < MAX_MESSAGES) log.messages.push(error.message)
    log.failures++
    log.totalFailures++
    log.downSinceMs ??= performance.now()
  }
  const report = (event: keyof MemcachedEvents, server: string): void => emit(event, detailsOf(server, logOf(server)))

  client.on('disconnect', (server, error) => {
    if (error === undefined) return
    fail(server, error)
    report('issue', server)
  })
  client.on('eject', (server, error) => {
    // Usually the lost connection was reported before, with the same error.
    if (logOf(server).failures === 0) fail(server, error)
    report('failure', server)
    if (removes) report('remove', server)
  })
  client.on('reconnecting', (server) => {
    logOf(server).attempted++
    report('reconnecting', server)
  })
  client.on('rejoin', (server) => {
    const log = logOf(server)
    log.succeeded++
    report('reconnect', server)
    log.messages.length = 0
    log.failures = 0
    log.downSinceMs = undefined
  })
}

const MAX_MESSAGES = 100

function detailsOf(server: string, log: ServerLog): IssueDetails {
  return {
    server,
    tokens: server.startsWith('/') ? [server] : (/^(.*):(\d+)$/.exec(server)?.slice(1).toReversed() ?? [server]),
    messages: [...log.messages],
    failures: log.failures,
    totalFailures: log.totalFailures,
    totalReconnectsAttempted: log.attempted,
    totalReconnectsSuccess: log.succeeded,
    totalReconnectsFailed: log.attempted - log.succeeded,
    totalDownTime: log.downSinceMs === undefined ? 0 : Math.round(performance.now() - log.downSinceMs),
  }
}
