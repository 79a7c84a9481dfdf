import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import express from 'express'
// @ts-expect-error the types are those of Express 5
import express4 from 'express4'
import { memcache } from 'memcache-ts'
import type { Memcache, ServerStream } from 'memcache-ts'
import { MemcachedServer } from 'memcache-ts-server'
import { FakeClock } from 'memcache-ts-testing'

/** Both Expresses that are supported; the types are those of 5. */
export const EXPRESSES = [
  ['Express 5', express],
  ['Express 4', express4 as unknown as typeof express],
] as const

/** A memcached in this process with a clock of its own, and caches on it, as processes of a fleet have them. */
export class TestFleet implements AsyncDisposable {
  readonly clock = new FakeClock()
  readonly server = new MemcachedServer({ clock: this.clock })
  readonly #caches: Memcache[] = []
  readonly #withoutMeta: boolean

  /** @param options `withoutMeta`: the server says that it is one of before 1.6. */
  constructor({ withoutMeta = false }: { withoutMeta?: boolean } = {}) {
    this.#withoutMeta = withoutMeta
  }

  readonly #stream: ServerStream = {
    name: 'test',
    connect: () => {
      const [ours, theirs] = duplexPair()
      this.server.handle(theirs)
      return this.#withoutMeta ? asOldServer(ours) : ours
    },
  }

  /** @param clock the clock of its process. Default: the clock of the server. */
  cache(clock: FakeClock = this.clock): Memcache {
    const cache = memcache({ servers: [this.#stream], logger: false, clock, timeoutMs: 5000 })
    this.#caches.push(cache)
    return cache
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#caches.map((cache) => cache.close()))
    await this.server.close()
  }
}

/** An HTTP server on a free port. */
export async function listen(app: RequestListener): Promise<Server & AsyncDisposable> {
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

/** A stream to a server that says it is an old one. */
export function asOldServer(server: Duplex): Duplex {
  const [client, near] = duplexPair()
  near.on('data', (chunk: Buffer) => {
    const text = chunk.toString('latin1')
    if (text === 'version\r\n') near.write('VERSION 1.4.39\r\n')
    // So the client tests for meta commands.
    else if (text === 'mn\r\n') near.write('ERROR\r\n')
    else server.write(Buffer.from(chunk))
  })
  near.on('end', () => server.end())
  server.on('data', (chunk: Buffer) => near.write(Buffer.from(chunk)))
  server.on('end', () => near.end())
  return client
}
