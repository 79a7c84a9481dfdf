import 'reflect-metadata'
import { Controller, Get } from '@nestjs/common'
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { Test } from '@nestjs/testing'
import { launchServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcacheHealthIndicator, MemcacheModule } from '../src/index.ts'
import { openApp } from './open-app.ts'

@Controller()
class Health {
  readonly #health: HealthCheckService
  readonly #memcache: MemcacheHealthIndicator
  constructor(health: HealthCheckService, memcache: MemcacheHealthIndicator) {
    this.#health = health
    this.#memcache = memcache
  }
  @Get('health') @HealthCheck() check() {
    return this.#health.check([() => this.#memcache.check('memcache')])
  }
  @Get('optional') @HealthCheck() optional() {
    return this.#health.check([() => this.#memcache.check('memcache', { optional: true })])
  }
}

interface Answer {
  status: number
  body: { status: string; details: { memcache: { status: string; servers: Record<string, string>; message?: string } } }
}

describe('MemcacheHealthIndicator', () => {
  it('is up, degraded and down as servers are killed and restarted', async () => {
    await using one = await launchServer()
    await using other = await launchServer()
    const names = [one, other].map(({ host, port }) => `${host}:${port}`)
    const module = await Test.createTestingModule({
      imports: [TerminusModule, MemcacheModule.forRoot({ servers: names.join(), timeoutMs: 2000, logger: false })],
      controllers: [Health],
    }).compile()
    const app = module.createNestApplication({ logger: false })
    await app.listen(0, '127.0.0.1')
    const ask = async (path = '/health'): Promise<Answer> => {
      const response = await fetch((await app.getUrl()) + path)
      return { status: response.status, body: (await response.json()) as Answer['body'] }
    }
    // A server that came back is there at the client's next attempt.
    const askUntil = async (status: string): Promise<Answer> => {
      for (;;) {
        const answer = await ask()
        if (answer.body.details.memcache.status === status) return answer
      }
    }
    try {
      expect(await ask()).toMatchObject({
        status: 200,
        body: {
          status: 'ok',
          details: { memcache: { status: 'up', servers: { [names[0]!]: 'up', [names[1]!]: 'up' } } },
        },
      })
      await one.kill()
      const degraded = await askUntil('degraded')
      expect(degraded).toMatchObject({
        status: 200,
        body: { status: 'degraded', details: { memcache: { servers: { [names[0]!]: 'down', [names[1]!]: 'up' } } } },
      })
      expect(degraded.body.details.memcache.message).not.toBe('')
      await other.kill()
      expect(await askUntil('down')).toMatchObject({ status: 503, body: { status: 'error' } })
      expect(await ask('/optional')).toMatchObject({ status: 200, body: { status: 'degraded' } })
      await Promise.all([one.restart(), other.restart()])
      expect(await askUntil('up')).toMatchObject({ status: 200, body: { status: 'ok' } })
    } finally {
      await app.close()
    }
  })

  it('reports under the key that it is given, and refuses unknown options', async () => {
    await using test = await openApp()
    const indicator = test.get(MemcacheHealthIndicator)
    expect(await indicator.check('cache')).toEqual({ cache: { status: 'up', servers: { test: 'up' } } })
    await expect(indicator.check('cache', { timeout: 1 } as never)).rejects.toThrow('has no option')
  })
})
