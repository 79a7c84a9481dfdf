import { get, IncomingMessage, ServerResponse } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import type { Express } from 'express'
import { describe, expect, it } from 'vitest'
import { memcacheSession, rateLimit } from '../src/index.ts'
import { shareShapes } from '../src/shared-shape.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'

setFlagsFromString('--allow-natives-syntax')
// oxlint-disable-next-line typescript/no-implied-eval -- the syntax is V8's own
const haveOneShape = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: object, b: object) => boolean
// oxlint-disable-next-line typescript/no-implied-eval -- the syntax is V8's own
const isFast = new Function('object', 'return %HasFastProperties(object)') as (object: object) => boolean

/** Runs two requests until both are in their handlers, and compares them. */
async function meet<Found>(
  makeApp: (handler: RequestListener) => RequestListener,
  look: (first: Parameters<RequestListener>, second: Parameters<RequestListener>) => Found,
): Promise<Found> {
  const met: Parameters<RequestListener>[] = []
  let found!: Found
  await using server = await listen(
    makeApp((...exchange) => {
      if (met.push(exchange) < 2) return
      found = look(met[0]!, met[1]!)
      for (const [, response] of met) response.end('met')
    }),
  )
  const { port } = server.address() as AddressInfo
  await Promise.all(
    [1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          get({ port, host: '127.0.0.1' }, (response) => response.resume().once('end', resolve)).once('error', reject)
        }),
    ),
  )
  return found
}

describe.each(EXPRESSES)('requests and responses of %s', (_, express) => {
  async function haveOneShapeAfter(install: (app: Express, fleet: TestFleet) => void): Promise<boolean[]> {
    await using fleet = new TestFleet()
    return meet(
      (handler) => {
        const app = express()
        install(app, fleet)
        app.get('/', (req, res) => handler(req, res))
        return app
      },
      (first, second) => [haveOneShape(first[0], second[0]), haveOneShape(first[1], second[1])],
    )
  }

  it('have one shape in the handlers behind a session', async () => {
    const shapes = await haveOneShapeAfter((app, fleet) =>
      app.use(memcacheSession({ cache: fleet.cache(), secret: 'test' })),
    )
    expect(shapes).toEqual([true, true])
  })

  it('have one shape in the handlers behind a rate limit and a session', async () => {
    const shapes = await haveOneShapeAfter((app, fleet) => {
      app.use(rateLimit({ perMinute: 100, cache: fleet.cache() }))
      app.use(memcacheSession({ cache: fleet.cache(), secret: 'test' }))
    })
    expect(shapes).toEqual([true, true])
  })
})

it("does not change the shapes of Node's objects and of subclasses", async () => {
  class OwnRequest extends IncomingMessage {}
  const request = new OwnRequest(null as never)
  const response = new ServerResponse(request)
  shareShapes(request, response)
  expect([isFast(request), isFast(response)]).toEqual([true, true])
})

it('keeps the maximum number of listeners', () => {
  const request = new IncomingMessage(null as never)
  const response = new ServerResponse(request)
  Object.setPrototypeOf(request, Object.create(IncomingMessage.prototype) as object)
  request.setMaxListeners(7)
  shareShapes(request, response)
  expect([request.getMaxListeners(), response.getMaxListeners()]).toEqual([7, 10])
})
