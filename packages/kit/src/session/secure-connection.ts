/** The parts of a request that tell whether it came over TLS. */
export interface ConnectionCarrier {
  readonly headers: {
    readonly 'x-forwarded-proto'?: string | string[] | undefined
    readonly forwarded?: string | undefined
  }
  /** Node's socket. */
  readonly socket?: object | null | undefined
  /** The framework's answer, which heeds the proxies that it trusts. */
  readonly secure?: boolean | undefined
}

/** Whether a request came over TLS, by express-session's rules for its `proxy` option. */
export function isSecure({ headers, socket, secure }: ConnectionCarrier, proxy: boolean | undefined): boolean {
  if ((socket as { encrypted?: boolean } | undefined)?.encrypted === true) return true
  if (proxy === false) return false
  if (proxy !== true) return secure === true
  const header = headers['x-forwarded-proto'] ?? ''
  return String(header).split(',', 1)[0]!.trim().toLowerCase() === 'https'
}

let hasWarned = false

/** Warns once that a secure cookie is not sent, since the connection is not known to be secure. */
export function warnOfInsecureConnection({ headers }: ConnectionCarrier): void {
  if (hasWarned) return
  const isForwarded = headers['x-forwarded-proto'] !== undefined || headers.forwarded !== undefined
  hasWarned = true
  process.emitWarning(
    isForwarded
      ? "the session's cookie is not sent: it is Secure, and the proxy that says that the connection is secure is not trusted. Have your framework trust it (Express: app.set('trust proxy', 1); Fastify: trustProxy), or give the sessions the option proxy: true"
      : "the session's cookie is not sent: it is Secure, and the connection is not. Use cookie.secure 'auto', or, behind a proxy that ends TLS, have it send X-Forwarded-Proto and your framework trust it (Express: app.set('trust proxy', 1); Fastify: trustProxy)",
    { code: 'MEMCACHE_SESSION_SECURE_COOKIE' },
  )
}
