import { readFileSync } from 'node:fs'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { MemcacheOptionError } from 'memcache-ts-protocol'

/**
 * What `tls` and `tlsCaFile` say together.
 * @throws MemcacheOptionError for a file of authorities that cannot be read.
 */
export function tlsOptionsOf(
  tls: boolean | TlsOptions | undefined,
  caFile: string | undefined,
): TlsOptions | undefined {
  if (tls === false) return undefined
  const options = tls === true || tls === undefined ? {} : tls
  if (caFile === undefined) return tls === undefined ? undefined : options
  try {
    return { ...options, ca: readFileSync(caFile) }
  } catch (cause) {
    throw new MemcacheOptionError(`tlsCaFile: ${(cause as Error).message}`, { cause })
  }
}
