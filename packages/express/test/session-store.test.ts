import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import { describe } from 'vitest'
import { describeSessionStore } from './session-store-contract.ts'

describe('MemcacheStore on our server', () => {
  describeSessionStore(async () => {
    const server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    return { address: `127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.close() }
  })
})

describeWithMemcached('MemcacheStore on the real memcached', () => {
  describeSessionStore(launchMemcached)
})
