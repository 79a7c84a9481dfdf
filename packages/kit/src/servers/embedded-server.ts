import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { MemcachedServer } from 'memcache-ts-server'
import type { ServerStream } from 'memcache-ts-client'

let server: Promise<MemcachedServer> | undefined

/** The memcached in this process: one, shared by all who ask for it, loaded when the first of them does. */
export const embeddedServer: ServerStream = {
  name: 'embedded',
  connect(): Duplex {
    const [ours, theirs] = duplexPair()
    server ??= import('memcache-ts-server').then((module) => new module.MemcachedServer())
    server.then(
      (started) => started.handle(theirs),
      (error: Error) => ours.destroy(error),
    )
    return ours
  },
}
