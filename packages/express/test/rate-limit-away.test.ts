import { once } from 'node:events'
import express from 'express'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import { memcache } from 'memcache-ts'
import request from 'supertest'
import { expect, it } from 'vitest'
import { rateLimit } from '../src/index.ts'
import { listen } from './open-app.ts'

describeWithMemcached('rateLimit while its memcached', () => {
  it.each([
    ['is killed', 'local', 10],
    ['is killed', 'open', 60],
    ['is killed', 'closed', 0],
    ['hangs', 'local', 10],
    ['hangs', 'open', 60],
    ['hangs', 'closed', 0],
  ] as const)(
    '%s answers every request under load, %s, and is exact again without a restart',
    async (fault, onCacheDown, allowed) => {
      await using memcached = await launchMemcached()
      await using cache = memcache({ servers: memcached.address, logger: false, timeoutMs: 1000 })
      const app = express()
      // A window that no test outlives; every client but the first is a new one.
      app.use(rateLimit({ limit: 10, windowMs: 31 * 86_400_000, onCacheDown, key: (req) => req.path, cache }))
      app.get('/:id', (_req, res) => res.json({}))
      await using server = await listen(app)
      const load = async (id: string) => {
        const answers = await Promise.all(Array.from({ length: 30 }, () => request(server).get(`/${id}`)))
        const statuses = answers.map(({ status }) => status)
        expect(statuses.filter((status) => status !== 200 && status !== 429)).toEqual([])
        return statuses.filter((status) => status === 200).length
      }
      expect(await load('before')).toBe(10)
      const recovered = once(cache, 'recovered')
      const running = load('during')
      await (fault === 'hangs' ? memcached.pause() : memcached.kill())
      await running
      expect((await load('after')) + (await load('after'))).toBe(allowed)
      await (fault === 'hangs' ? memcached.resume() : memcached.restart())
      await recovered
      expect(await load('back')).toBe(10)
      expect(await load('back')).toBe(0)
    },
  )
})
