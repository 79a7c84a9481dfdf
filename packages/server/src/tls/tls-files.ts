import { constants, createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { SecureContextOptions } from 'node:tls'
import { getSystemErrorMap } from 'node:util'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { ResolvedTlsOptions } from './tls-options.ts'

/** One certificate of a PEM file. */
const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g
/** The formats of a private key in DER. */
const DER_KEY_TYPES = ['pkcs8', 'pkcs1', 'sec1'] as const

/**
 * Reads the certificate, the key and the authorities, in the order in which memcached does; the result is complete, so
 * that a reload that fails halfway leaves nothing half changed.
 *
 * @throws MemcacheOptionError with memcached's line about the first file that cannot be used (tls.c).
 */
export function readTlsFiles(options: ResolvedTlsOptions): SecureContextOptions {
  const { chainCertFile, keyFile, keyFormat, caCertFile, ciphers, minVersion, sessionCache } = options
  const cert = attempt(`Error loading the certificate chain: ${chainCertFile}`, () => {
    const chain = readFileSync(chainCertFile)
    createSecureContext({ cert: chain })
    return chain
  })
  const keyPath = keyFile === '' ? chainCertFile : keyFile
  const key = attempt(`Error loading the key: ${keyPath}`, () => {
    const file = readFileSync(keyPath)
    const pem = keyFormat === 'der' ? pemOf(file) : file
    createSecureContext({ cert, key: pem })
    return pem
  })
  // Without a list of our own Node would trust every public authority to sign clients' certificates.
  const ca =
    caCertFile === '' ? [] : attempt(`Error loading the CA certificate: ${caCertFile}`, () => readCa(caCertFile))
  let secureOptions = constants.SSL_OP_NO_RENEGOTIATION
  if (!sessionCache) secureOptions |= constants.SSL_OP_NO_TICKET
  const all: SecureContextOptions = {
    cert,
    key,
    ca,
    minVersion,
    secureOptions,
  }
  if (ciphers === '') return all
  try {
    createSecureContext({ ...all, ciphers })
  } catch {
    throw new MemcacheOptionError(`Error setting the provided cipher(s): ${ciphers}`)
  }
  return { ...all, ciphers }
}

/** Returns an error of OpenSSL in memcached's form: `error:0A00010B:SSL routines::wrong version number`. */
export function opensslMessage(error: Error): string {
  const match = /error:([0-9A-F]{8}):([^:]*):[^:]*:([^:\n]*)/.exec(error.message)
  if (match !== null) return `error:${match[1]}:${match[2]}::${match[3]}`
  const { errno } = error as NodeJS.ErrnoException
  const text = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]
  if (errno === undefined || text === undefined) return error.message.split('\n', 1)[0]!
  // OpenSSL has its own codes for errors of the system, and libuv writes their text in lower case.
  const code = (0x8000_0000 - errno).toString(16).toUpperCase()
  return `error:${code}:system library::${text[0]!.toUpperCase()}${text.slice(1)}`
}

function attempt<Value>(failed: string, read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw new MemcacheOptionError(`${failed} : ${opensslMessage(error as Error)}`)
  }
}

/**
 * Returns the certificates of a file.
 *
 * @throws Error if there is none, or one is invalid: Node would ignore certificates that it cannot read.
 */
function readCa(path: string): string[] {
  const certificates = readFileSync(path, 'latin1').match(CERTIFICATE) ?? []
  if (certificates.length === 0) {
    throw new Error('error:05800088:x509 certificate routines::no certificate or crl found')
  }
  for (const certificate of certificates) void new X509Certificate(certificate)
  return [...certificates]
}

function pemOf(der: Buffer): string {
  let failure: unknown
  for (const type of DER_KEY_TYPES) {
    let key: KeyObject
    try {
      key = createPrivateKey({ key: der, format: 'der', type })
    } catch (error) {
      failure ??= error
      continue
    }
    return key.export({ format: 'pem', type: 'pkcs8' }) as string
  }
  throw failure
}
