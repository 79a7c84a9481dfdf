import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { MemcacheSessionOptions } from '../src/index.ts'
import { memcacheSession } from '../src/index.ts'

/** A browser without a window: it keeps the cookie that it was given. */
export class Visitor {
  readonly #app: FastifyInstance
  cookie: string | undefined

  constructor(app: FastifyInstance) {
    this.#app = app
  }

  async get(url: string, headers: Record<string, string> = {}) {
    const cookies = this.cookie === undefined ? {} : { cookie: this.cookie }
    const response = await this.#app.inject({ url, headers: { ...cookies, ...headers } })
    const set = response.cookies.find(({ name }) => name === 'connect.sid')
    if (set !== undefined) {
      this.cookie = set.value === '' ? undefined : `${set.name}=${encodeURIComponent(set.value)}`
    }
    return response
  }
}

/** An application with sessions; its routes are the test's. */
export async function sessionApp(
  options: MemcacheSessionOptions,
  routes: (app: FastifyInstance) => void,
  server: FastifyServerOptions = {},
): Promise<FastifyInstance> {
  const app = Fastify(server)
  await app.register(memcacheSession, { secret: 'of the tests', ...options })
  routes(app)
  return app
}
