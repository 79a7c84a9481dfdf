import { readFileSync } from 'node:fs'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { kindOf, MemcacheOptionError } from 'memcache-ts-protocol'

/**
 * What `tls` and `tlsCaFile` say together.
 *
 * @throws MemcacheOptionError for a file of authorities that cannot be read.
 */
export function tlsOptionsOf(
  tls: boolean | TlsOptions | undefined,
  caFile: string | undefined,
): TlsOptions | undefined {
  if (tls === false) return undefined
  if (tls !== undefined && tls !== true && (typeof tls !== 'object' || tls === null)) {
    throw new MemcacheOptionError(`tls must be true, false or options of tls.connect, got ${kindOf(tls)}`)
  }
  const options = tls === true || tls === undefined ? {} : tls
  if (caFile === undefined) return tls === undefined ? undefined : options
  try {
    return { ...options, ca: readFileSync(caFile) }
  } catch (cause) {
    throw new MemcacheOptionError(`tlsCaFile: ${(cause as Error).message}`, { cause })
  }
}
