import type { ServerAddress } from '../server-address.ts'
import { Ketama } from './ketama.ts'
import { spymemcachedName } from './server-name.ts'
import type { SocketName } from './server-name.ts'

/**
 * Ketama with the names that spymemcached hashes, `/host:port`, as libmemcached's `consistent_ketama_spy` has it. With
 * equal weights it is spymemcached's own, which has none.
 */
export class SpyKetama extends Ketama {
  constructor(servers: readonly ServerAddress[], socketName: SocketName) {
    super(servers, socketName, spymemcachedName)
  }
}
