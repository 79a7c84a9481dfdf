import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import { describe } from 'vitest'
import { describeSessionEngine } from './session-engine-contract.ts'
import { describeSessionStore } from './session-store-contract.ts'
import type { ContractServer } from './session-store-contract.ts'

async function launchOurs(): Promise<ContractServer> {
  const server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  return { address: `127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.close() }
}

describe('sessions on our server', () => {
  describe('MemcacheStore', () => describeSessionStore(launchOurs))
  describe('express-session on', () => describeSessionEngine(launchOurs))
})

describeWithMemcached('sessions on the real memcached', () => {
  describe('MemcacheStore', () => describeSessionStore(launchMemcached))
  describe('express-session on', () => describeSessionEngine(launchMemcached))
})
