import Fastify from 'fastify'
import { passTime } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import { it } from 'vitest'
import { expectUsersApart, PROPERTY_MS } from '../../kit/test/two-users.ts'
import type { PlainHandler, UsersOptions, UsersSite } from '../../kit/test/two-users.ts'
import { cacheResponses } from '../src/index.ts'

async function open(handler: PlainHandler, options: UsersOptions): Promise<UsersSite> {
  const test = await testMemcache({ timeoutMs: 5000 })
  const app = Fastify()
  // Who the user is, the application finds out by a field that no cache knows.
  app.addHook('onRequest', async (request) => {
    const known = request.headers['x-test-known']
    if (known !== undefined) Object.assign(request, { user: known })
  })
  await app.register(cacheResponses, { ...options, cache: test.cache })
  app.route({
    method: ['GET', 'POST'],
    url: '/*',
    async handler(request, reply) {
      await new Promise(setImmediate)
      const { user } = request as { user?: string }
      const { status, fields, body } = handler((name) => request.headers[name]?.toString(), request.url, user)
      return reply.code(status).headers(fields).send(body)
    },
  })
  return {
    async fetch(url, headers, method) {
      const { body, headers: fields } = await app.inject({ method: method as 'GET', url, headers })
      return `${body} ${JSON.stringify(fields)}`
    },
    pass: (seconds) => passTime(test.clock, test.cache, seconds),
    async [Symbol.asyncDispose]() {
      await app.close()
      await test[Symbol.asyncDispose]()
    },
  }
}

it(
  'two users and a stranger never get a response that was made for another client',
  () => expectUsersApart(open, { knows: true, runs: 40 }),
  PROPERTY_MS,
)
