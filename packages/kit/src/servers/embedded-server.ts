import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { MemcachedServer } from 'memcache-ts-server'
import type { ServerStream } from 'memcache-ts-client'

let server: Promise<MemcachedServer> | undefined

/** The memcached in this process. All caches share it; its module is loaded when the first of them connects. */
export const embeddedServer: ServerStream = {
  name: 'embedded',
  connect(): Duplex {
    const [ours, theirs] = duplexPair()
    // One end of a pair does not notice that the other one was destroyed.
    ours.once('close', () => theirs.destroy())
    server ??= import('memcache-ts-server').then((module) => new module.MemcachedServer())
    server.then(
      (started) => started.handle(theirs),
      (error: Error) => ours.destroy(error),
    )
    return ours
  },
}
