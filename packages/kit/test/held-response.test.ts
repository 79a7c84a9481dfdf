import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { deferResponse, withdrawField } from '../src/deferred/deferred-response.ts'
import { gateMethods } from '../src/deferred/method-output.ts'
import { deferred } from './deferred.ts'

/** How a response is held: below Node's methods, and, as in Bun and Deno, by replaced methods. */
const WAYS: readonly [name: string, prepare: (response: ServerResponse) => void][] = [
  ['as Node sends', () => {}],
  ['by its methods', gateMethods],
]

/** Responses of an application, and the state that it sees afterwards. */
const SENT: Readonly<Record<string, (response: ServerResponse) => void>> = {
  'a whole body': (response) => void response.end('a page'),
  'a body in parts': (response) => {
    response.write('a ')
    response.write(Buffer.from('page'))
    response.end()
  },
  'a head with fields': (response) => void response.writeHead(201, { 'X-Own': 'yes' }).end('created'),
  'a reason': (response) => void response.writeHead(299, 'As It Is').end('text'),
  'a flushed head': (response) => {
    response.flushHeaders()
    response.end('late')
  },
  'no body': (response) => void response.writeHead(204).end(),
  'a status by property': (response) => {
    response.statusCode = 404
    response.end()
  },
  'an encoding': (response) => void response.end('e9', 'hex'),
  'a callback': (response) => void response.end('called', () => response.req.emit('told')),
}

function codeOf(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
  return undefined
}

interface Answer {
  readonly status: number
  readonly reason: string
  readonly fields: Record<string, string>
  readonly body: string
}

describe.each(WAYS)('a response held %s', (_, prepare) => {
  /** Serves one request by `handle`, and sends it. */
  async function ask(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Answer> {
    const server = createServer((request, response) => {
      prepare(response)
      handle(request, response)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
      const { date: _date, ...fields } = Object.fromEntries(response.headers)
      return { status: response.status, reason: response.statusText, fields, body: await response.text() }
    } finally {
      server.closeAllConnections()
      server.close()
    }
  }

  it.each(Object.entries(SENT))('arrives as without holding, and looks sent meanwhile: %s', async (name, send) => {
    const plain = await ask((_, response) => send(response))
    const work = deferred()
    let isTold = false
    let meanwhile: unknown
    const answer = ask((request, response) => {
      request.once('told', () => (isTold = true))
      deferResponse(response, work.promise, () => {})
      send(response)
      setImmediate(() => {
        meanwhile = {
          state: [response.headersSent, response.writableEnded, response.writableFinished, isTold],
          late: [
            codeOf(() => response.setHeader('X-Late', 'yes')),
            codeOf(() => response.removeHeader('X-Own')),
            codeOf(() => response.writeHead(500)),
          ],
        }
        work.resolve()
      })
    })
    expect(await answer).toEqual(plain)
    expect(isTold).toBe(name === 'a callback')
    const sent = 'ERR_HTTP_HEADERS_SENT'
    expect(meanwhile).toEqual({ state: [true, true, false, false], late: [sent, sent, sent] })
  })

  it('is replaced by the error response if the work fails, for all writes and wrappers', async () => {
    let seen: unknown
    const answer = await ask((_, response) => {
      const { end } = response
      response.end = ((...args: Parameters<typeof end>) => end.apply(response, args)) as typeof end
      response.setHeader('Content-Type', 'image/png')
      response.setHeader('X-Kept', 'yes')
      deferResponse(response, Promise.reject(new Error('away')), (error) => {
        seen = [response.headersSent, response.writableEnded, response.statusCode]
        response.statusCode = 503
        response.end((error as Error).message)
      })
      response.writeHead(201).write('a part')
      response.end('the rest')
    })
    expect(answer).toMatchObject({ status: 503, body: 'away', fields: { 'x-kept': 'yes' } })
    expect(answer.fields).not.toHaveProperty('content-type')
    expect(seen).toEqual([false, false, 200])
  })

  it('is replaced once the application has ended it, if the work fails earlier', async () => {
    const answer = await ask((_, response) => {
      deferResponse(response, Promise.reject(new Error('away')), () => response.writeHead(503).end('away'))
      response.write('a part', () => response.end('the rest'))
    })
    expect(answer).toMatchObject({ status: 503, body: 'away' })
  })

  it('is cut off if the work fails after the head was sent', async () => {
    const failed = deferred()
    const answer = ask((_, response) => {
      response.write('a part', () => {
        deferResponse(response, failed.promise, () => {})
        response.end('the rest')
        failed.reject(new Error('away'))
      })
    })
    await expect(answer).rejects.toThrow()
  })

  it('makes a writer wait while much is buffered, and continue when it is sent', async () => {
    const work = deferred()
    const answer = await ask((_, response) => {
      deferResponse(response, work.promise, () => {})
      while (response.write('x'.repeat(10_000)));
      response.once('drain', () => response.end('end'))
      work.resolve()
    })
    expect([answer.body.length > 10_000, answer.body.slice(-4)]).toEqual([true, 'xend'])
  })

  it('loses a cookie that must not be set', async () => {
    const work = deferred()
    const answer = await ask((_, response) => {
      deferResponse(response, work.promise, () => {})
      response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      response.end('text')
      withdrawField(response, 'Set-Cookie', 'a=1')
      work.resolve()
    })
    expect(answer).toMatchObject({ body: 'text', fields: { 'set-cookie': 'b=2' } })
  })

  it('is held by a wrapper of writeHead, which is called before the body is sent', async () => {
    const work = deferred()
    const answer = await ask((_, response) => {
      const { writeHead } = response
      response.writeHead = ((...args: Parameters<typeof writeHead>) => {
        deferResponse(response, work.promise, () => {})
        return writeHead.apply(response, args)
      }) as typeof writeHead
      response.end('text')
      setImmediate(() => work.resolve())
    })
    expect(answer).toMatchObject({ body: 'text', status: 200 })
    expect(answer.fields['content-length']).toBe('4')
  })
})
