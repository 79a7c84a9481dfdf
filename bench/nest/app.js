// A Nest application whose routes differ in what stands before the same handler; says on request what processor time it
// has used.
import 'reflect-metadata'
import { CacheInterceptor, CacheModule } from '@nestjs/cache-manager'
import { Controller, Get, Injectable, Module, UseGuards, UseInterceptors } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler'
import { Cached, CacheResponse, MemcacheModule, RateLimit } from 'memcache-ts-nestjs'

const [, , servers] = process.argv
/** No request of a bench is denied. */
const LIMIT = 1_000_000_000

/** Requests are of so many clients in turn: Nest's throttler keeps each client's requests of the window in a list. */
const CLIENTS = 1000
let asked = 0
const client = () => `client ${asked++ % CLIENTS}`

/** Applies decorators as the output of TypeScript does: the innermost first. */
function decorate(target, key, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(target, key)
  for (const decorator of decorators.toReversed()) decorator(target, key, descriptor)
  Object.defineProperty(target, key, descriptor)
}

const answer = { id: 2_988_507, name: 'Paris', country: 'FR', population: 2_138_551, lat: 48.85341, lon: 2.3488 }

class Cities {
  async find() {
    return answer
  }
  async findNear() {
    return answer
  }
}
decorate(Cities.prototype, 'find', Cached('1h'))
decorate(Cities.prototype, 'findNear', Cached({ ttlSeconds: '1h', cache: 'near' }))
Injectable()(Cities)

class Routes {
  constructor(cities) {
    this.cities = cities
  }
  bare() {
    return answer
  }
  cached() {
    return this.cities.find(2_988_507)
  }
  near() {
    return this.cities.findNear(2_988_507)
  }
  response() {
    return answer
  }
  interceptor() {
    return answer
  }
  limited() {
    return answer
  }
  throttled() {
    return answer
  }
}
const { prototype } = Routes
decorate(prototype, 'bare', Get('bare'))
decorate(prototype, 'cached', Get('cached'))
decorate(prototype, 'near', Get('near'))
decorate(prototype, 'response', Get('response'), CacheResponse('1h'))
decorate(prototype, 'interceptor', Get('interceptor'), UseInterceptors(CacheInterceptor))
decorate(prototype, 'limited', Get('limited'), RateLimit({ perMinute: LIMIT, key: client }))
decorate(prototype, 'throttled', Get('throttled'), UseGuards(ThrottlerGuard))
Reflect.defineMetadata('design:paramtypes', [Cities], Routes)
Controller()(Routes)

// oxlint-disable-next-line typescript/no-extraneous-class -- a module of Nest is one
class App {}
Module({
  imports: [
    MemcacheModule.forRoot({ servers, logger: false }),
    MemcacheModule.forRoot({ name: 'near', servers, logger: false, l1: true }),
    CacheModule.register({ ttl: 3_600_000 }),
    ThrottlerModule.forRoot([{ ttl: 60_000, limit: LIMIT, getTracker: client }]),
  ],
  providers: [Cities],
  controllers: [Routes],
})(App)

const app = await NestFactory.create(App, { logger: ['error'] })
await app.listen(0, '127.0.0.1')
process.once('disconnect', () => process.exit())
process.on('message', () => process.send({ cpuMicroseconds: cpuMicroseconds() }))
process.send({ origin: await app.getUrl() })

function cpuMicroseconds() {
  const { user, system } = process.cpuUsage()
  return user + system
}
