import { checkOptions, kindOf, MemcacheOptionError, rangeOption } from 'memcache-ts-protocol'

/** Options of TLS: the `ssl_` words of `-o` (memcached's doc/tls.txt). */
export interface ServerTlsOptions {
  /** PEM file of the server's certificate and of the certificates that signed it (`ssl_chain_cert`). */
  chainCertFile: string
  /** File of its private key, without a passphrase (`ssl_key`). Default: the chain file holds it too. */
  keyFile?: string | undefined
  /** Format of the key file (`ssl_keyformat` 1 and 2). Default `'pem'`. */
  keyFormat?: TlsKeyFormat | undefined
  /**
   * PEM file of the authorities that sign clients' certificates (`ssl_ca_cert`). Default: none, and no client
   * certificate is valid.
   */
  caCertFile?: string | undefined
  /**
   * Whether clients must send a certificate (`ssl_verify_mode` 0 to 3). `'request'` accepts clients without a
   * certificate, but refuses an invalid certificate; `'once'` is `'require'`, since connections are never renegotiated.
   * Default `'none'`.
   */
  verifyMode?: TlsVerifyMode | undefined
  /** Cipher list of OpenSSL, for TLS 1.2 and older (`ssl_ciphers`). Default: Node's. */
  ciphers?: string | undefined
  /** The oldest version of TLS that is accepted (`ssl_min_version` 0 to 3). Default `'TLSv1.2'`. */
  minVersion?: TlsVersion | undefined
  /** Whether clients may resume a session with less work (`ssl_session_cache`). Default false. */
  sessionCache?: boolean | undefined
  /**
   * The value in `stats settings` (`ssl_wbuf_size`); it has no other effect, since Node sizes its buffers itself.
   * Default 16 KiB.
   */
  writeBufferBytes?: number | undefined
  /** Clients that do not finish their handshake within this time are disconnected. Default 30. */
  handshakeTimeoutSeconds?: number | undefined
}

export type TlsKeyFormat = 'pem' | 'der'
export type TlsVerifyMode = 'none' | 'request' | 'require' | 'once'
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'

/** The options with their defaults. */
export type ResolvedTlsOptions = {
  readonly [Name in keyof ServerTlsOptions]-?: NonNullable<ServerTlsOptions[Name]>
}

/** The values of the options that are numbers in memcached; each value is at the index of its number. */
export const TLS_VERIFY_MODES: readonly TlsVerifyMode[] = ['none', 'request', 'require', 'once']
export const TLS_VERSIONS: readonly TlsVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']
export const TLS_KEY_FORMATS: readonly TlsKeyFormat[] = ['pem', 'der']

const DEFAULTS: ResolvedTlsOptions = {
  chainCertFile: '',
  keyFile: '',
  keyFormat: 'pem',
  caCertFile: '',
  verifyMode: 'none',
  ciphers: '',
  minVersion: 'TLSv1.2',
  sessionCache: false,
  writeBufferBytes: 16 * 1024,
  handshakeTimeoutSeconds: 30,
}

/** Options of `node:tls`, with the options of this package for the same purpose. */
const HINTS = {
  cert: 'chainCertFile',
  key: 'keyFile',
  ca: 'caCertFile',
  requestCert: 'verifyMode',
}

/**
 * Fills in the defaults.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function resolveTlsOptions(options: ServerTlsOptions): ResolvedTlsOptions {
  if (typeof options !== 'object' || options === null) {
    throw new MemcacheOptionError(`tls must be an object such as { chainCertFile, keyFile }, got ${kindOf(options)}`)
  }
  checkOptions('tls', options, { names: Object.keys(DEFAULTS), hints: HINTS })
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const resolved: ResolvedTlsOptions = { ...DEFAULTS, ...given }
  for (const name of ['chainCertFile', 'keyFile', 'caCertFile', 'ciphers'] as const) {
    const value: unknown = resolved[name]
    if (typeof value !== 'string') throw new MemcacheOptionError(`tls.${name} must be a string, got ${kindOf(value)}`)
  }
  if (resolved.chainCertFile === '') throw new MemcacheOptionError('tls.chainCertFile must name the certificate file')
  requireOneOf('keyFormat', resolved.keyFormat, TLS_KEY_FORMATS)
  requireOneOf('verifyMode', resolved.verifyMode, TLS_VERIFY_MODES)
  requireOneOf('minVersion', resolved.minVersion, TLS_VERSIONS)
  requireOneOf('sessionCache', resolved.sessionCache, [true, false])
  rangeOption('tls.writeBufferBytes', resolved.writeBufferBytes, [0, 0xffff_ffff])
  rangeOption('tls.handshakeTimeoutSeconds', resolved.handshakeTimeoutSeconds, [1, 24 * 60 * 60])
  return resolved
}

function requireOneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return
  throw new MemcacheOptionError(
    `tls.${name} must be one of ${allowed.join(', ')}, got ${typeof value === 'string' ? `'${value}'` : kindOf(value)}`,
  )
}
