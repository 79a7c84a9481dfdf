import express from 'express'
import type { Express, Request } from 'express'
import { ipKey, rateLimit } from 'memcache-ts-express'

/** The plans of the clients, by the key that they send. */
const PLANS: Readonly<Record<string, 'free' | 'paid'>> = { 'free-key': 'free', 'paid-key': 'paid' }

declare module 'express-serve-static-core' {
  interface Request {
    apiKey?: string
    plan?: 'free' | 'paid'
  }
}

/**
 * An API with two limits: one for each address, and one for each API key, by its plan. The first limits attempts to
 * guess keys; the second is the limit that customers pay for.
 */
export function createLimitedApi(): Express {
  const app = express()
  // There is one proxy in front: its X-Forwarded-For contains the client's address.
  app.set('trust proxy', 1)

  app.use(rateLimit({ name: 'address', perSecond: 20, perMinute: 300, key: ipKey }))

  app.use((request, response, next) => {
    const apiKey = request.get('X-Api-Key') ?? ''
    const plan = Object.hasOwn(PLANS, apiKey) ? PLANS[apiKey] : undefined
    if (plan === undefined) {
      response.status(401).json({ error: 'send your key as X-Api-Key' })
      return
    }
    Object.assign(request, { apiKey, plan })
    next()
  })

  const apiKeyOf = (request: Request): string => request.apiKey!
  const limits = {
    free: rateLimit({ name: 'free', perMinute: 10, key: apiKeyOf, cost: costOf }),
    // Spread evenly, with up to 50 at once, so that a client does not use its whole minute in one second.
    paid: rateLimit({ name: 'paid', perMinute: 1000, algorithm: 'gcra', burst: 50, key: apiKeyOf, cost: costOf }),
  }
  app.use((request, response, next) => limits[request.plan!](request, response, next))

  app.get('/report', (_request, response) => void response.json({ report: 'took long to make' }))
  app.get('/', (request, response) => void response.json({ hello: request.plan, left: request.rateLimit?.remaining }))
  return app
}

/** A report costs as much as five other requests. */
function costOf(request: Request): number {
  return request.path === '/report' ? 5 : 1
}
