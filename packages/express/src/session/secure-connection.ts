import type { IncomingMessage } from 'node:http'

/** Whether a request came over TLS, by express-session's rules for its `proxy` option. */
export function isSecure(request: IncomingMessage, proxy: boolean | undefined): boolean {
  if ((request.socket as { encrypted?: boolean } | undefined)?.encrypted === true) return true
  if (proxy === false) return false
  if (proxy !== true) return (request as { secure?: unknown }).secure === true
  const header = request.headers['x-forwarded-proto'] ?? ''
  return String(header).split(',', 1)[0]!.trim().toLowerCase() === 'https'
}

let hasWarned = false

/** Tells once that a secure cookie was not sent, although the client's connection to a proxy is said to be secure. */
export function warnOfUntrustedProxy(request: IncomingMessage): void {
  if (hasWarned) return
  const isForwarded = request.headers['x-forwarded-proto'] !== undefined || request.headers.forwarded !== undefined
  hasWarned = true
  process.emitWarning(
    isForwarded
      ? "the session's cookie is not sent: it is Secure, and the proxy that says that the connection is secure is not trusted. Say app.set('trust proxy', 1), or give memcacheSession({ proxy: true })"
      : "the session's cookie is not sent: it is Secure, and the connection is not. Use cookie.secure 'auto', or, behind a proxy that ends TLS, have it send X-Forwarded-Proto and say app.set('trust proxy', 1)",
    { code: 'MEMCACHE_SESSION_SECURE_COOKIE' },
  )
}
