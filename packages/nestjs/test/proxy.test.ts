import 'reflect-metadata'
import { Controller, Get, Logger } from '@nestjs/common'
import type { NestExpressApplication } from '@nestjs/platform-express'
import { afterEach, expect, it, vi } from 'vitest'
import { RateLimit } from '../src/index.ts'
import { openApp } from './open-app.ts'

@Controller()
class Shows {
  @RateLimit({ perMinute: 1 }) @Get() show() {
    return 'shown'
  }
}

afterEach(() => vi.restoreAllMocks())

it('a proxy that is not trusted causes one warning; behind a trusted proxy each client is counted separately', async () => {
  const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => {})
  await using test = await openApp({ controllers: [Shows] })
  const statusFor = async (client: string) => (await test.fetch('/', { headers: { 'X-Forwarded-For': client } })).status
  expect([await statusFor('192.0.2.1'), await statusFor('192.0.2.2')]).toEqual([200, 429])
  expect(warn).toHaveBeenCalledTimes(1)
  expect(warn).toHaveBeenCalledWith(expect.stringContaining("app.set('trust proxy', 1)"))
  ;(test.app as NestExpressApplication).set('trust proxy', 1)
  expect([await statusFor('192.0.2.1'), await statusFor('192.0.2.2'), await statusFor('192.0.2.2')]).toEqual([
    200, 200, 429,
  ])
  expect(warn).toHaveBeenCalledTimes(1)
})
