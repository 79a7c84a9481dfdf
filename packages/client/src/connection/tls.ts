import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { types } from 'node:util'
import { kindOf, MemcacheOptionError, textOption } from 'memcache-ts-protocol'
import { asError, messageOf } from '../errors.ts'
import type { ServerAddress } from '../server-address.ts'

/**
 * Returns the TLS options of `tls` and `tlsCaFile` together; `undefined` is no TLS.
 *
 * @throws MemcacheOptionError if a connection could not be made with them. The error shows no key and no passphrase.
 */
export function tlsOptionsOf(tls: unknown, caFile: string | undefined): TlsOptions | undefined {
  if (tls === false) return undefined
  if (tls !== undefined && tls !== true && (typeof tls !== 'object' || tls === null)) {
    throw new MemcacheOptionError(`tls must be true, false or options of tls.connect, got ${kindOf(tls)}`)
  }
  if (tls === undefined && caFile === undefined) return undefined
  const given: TlsOptions = tls === true || tls === undefined ? {} : tls
  const options = caFile === undefined ? given : { ...given, ca: readAuthorities(caFile) }
  checkTlsOptions(options)
  return options
}

function readAuthorities(caFile: string): Buffer {
  try {
    return readFileSync(caFile)
  } catch (cause) {
    throw new MemcacheOptionError(`tlsCaFile: ${messageOf(cause)}`, { cause })
  }
}

function checkTlsOptions(options: TlsOptions): void {
  for (const name of ['path', 'socket', 'onread'] as const) {
    if ((options as Record<string, unknown>)[name] !== undefined) {
      throw new MemcacheOptionError(`tls.${name} cannot be used: the client itself connects to servers and reads`)
    }
  }
  for (const name of ['passphrase', 'servername'] as const) {
    if (options[name] !== undefined) textOption(`tls.${name}`, options[name])
  }
  for (const name of ['checkServerIdentity', 'lookup'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw new MemcacheOptionError(`tls.${name} must be a function, got ${kindOf(options[name])}`)
    }
  }
  for (const ca of [options.ca].flat()) {
    // Node ignores text that is no certificate, and then trusts no server.
    const isText = typeof ca === 'string' || types.isUint8Array(ca)
    if (isText && !Buffer.from(ca).includes('-----BEGIN')) {
      throw new MemcacheOptionError('tls.ca must be certificates in PEM, not the name of a file: read the file first')
    }
  }
  if (options.secureContext !== undefined) return
  try {
    createSecureContext(options)
  } catch (error) {
    // Without a cause: Node's messages show values of a wrong type, which may be secrets.
    throw new MemcacheOptionError(`tls cannot be used: ${contextProblem(error)}`)
  }
}

const CONTEXT_ADVICE: Readonly<Record<string, string>> = {
  'bad decrypt': 'the passphrase is not that of the key',
  'interrupted or cancelled': 'the key is encrypted: give tls.passphrase',
  'key values mismatch': 'tls.key is not the key of tls.cert',
  'no start line': 'tls.cert and tls.key must be PEM, not the names of files',
  unsupported: 'tls.cert and tls.key must be PEM, not the names of files',
}

function contextProblem(error: unknown): string {
  const { reason } = error as { reason?: unknown }
  if (typeof reason !== 'string') return messageOf(error).replace(/\.? Received .*/s, '')
  const advice = CONTEXT_ADVICE[reason]
  return advice === undefined ? reason : `${advice} (${reason})`
}

/** Returns the options of one TLS connection that depend on the server's address and on functions of the application. */
export function tlsConnectOptions({ host }: ServerAddress, tls: TlsOptions): TlsOptions {
  const { checkServerIdentity, lookup, servername } = tls
  return {
    ...tls,
    // The name that the certificate is checked against. An address cannot be sent as a server name.
    ...(servername !== undefined || host === undefined || /^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ...(checkServerIdentity === undefined ? {} : { checkServerIdentity: guarded(checkServerIdentity) }),
    ...(lookup === undefined ? {} : { lookup: guardedLookup(lookup) }),
  }
}

/**
 * Guards a custom `lookup`, whose callback is Node's own: a second call, or a result that is no address, would throw in
 * it and end the process.
 */
function guardedLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    let isDone = false
    const done: typeof callback = (error, address, family) => {
      if (isDone) return
      isDone = true
      const problem = error ?? addressProblem(address)
      callback(problem, address, family)
    }
    try {
      lookup(hostname, options, done)
    } catch (error) {
      done(asError(error), '', 0)
    }
  }
}

function addressProblem(found: unknown): Error | null {
  const addresses: unknown[] = Array.isArray(found)
    ? found.map((entry: { address?: unknown }) => entry?.address)
    : [found]
  const isValid = addresses.length > 0 && addresses.every((address) => typeof address === 'string' && isIP(address) > 0)
  return isValid ? null : new Error(`tls.lookup must give an IP address, got ${kindOf(found)}`)
}

/** Takes an exception for a refusal: Node would throw it in the socket's callback, and the handshake would never end. */
function guarded(check: NonNullable<TlsOptions['checkServerIdentity']>): typeof check {
  return (...args) => {
    try {
      return check(...args)
    } catch (error) {
      return asError(error)
    }
  }
}

const UNKNOWN_AUTHORITY = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
])

/** Returns what is wrong with a TLS connection, and what to do; `undefined` if the error is not one of TLS. */
export function tlsProblem(error: Error): string | undefined {
  const { code, reason } = error as { code?: unknown; reason?: unknown }
  if (typeof code !== 'string') return undefined
  if (UNKNOWN_AUTHORITY.has(code)) return `${error.message}; give the authority of the server's certificate as tls.ca`
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired"
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `${error.message.replace(/[:\s]+$/, '')}; give the certificate's name as tls.servername`
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'it does not speak TLS: leave tls out, or use its TLS port'
  if (!code.startsWith('ERR_SSL_')) return undefined
  // Without the source lines that OpenSSL's own messages name.
  return `TLS failed: ${String(reason)}${alertAdvice(String(reason))}`
}

function alertAdvice(reason: string): string {
  if (reason.endsWith('alert certificate required')) return ': the server demands tls.cert and tls.key'
  if (reason.endsWith('alert handshake failure')) return ': the server may demand tls.cert and tls.key'
  return /alert .*(?:certificate|unknown ca)/.test(reason) ? ': the server refuses tls.cert' : ''
}
