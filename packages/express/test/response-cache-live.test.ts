import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get as httpGet } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import compression from 'compression'
import type { Response } from 'express'
import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'
import { EXPRESSES } from './open-app.ts'

async function open(site: Site, path = '/'): Promise<IncomingMessage> {
  const { port } = site.server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    httpGet({ port, host: '127.0.0.1', path, agent: false }, resolve).on('error', reject)
  })
}

/** The first part of a body; the rest may still be read. */
async function firstPart(response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    response.once('data', (part) => {
      response.pause()
      resolve(String(part))
    })
  })
}

async function whole(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of response) text += String(part)
  return text
}

describe.each(EXPRESSES)('requests for a response that is being written, on %s', (_name, create) => {
  it('get the beginning of a stream that does not end, and each of its parts', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    site.answers((_request, response) => {
      stream = response
      response.type('application/x-ndjson').write('first\n')
    })
    const leader = await open(site)
    expect(await firstPart(leader)).toBe('first\n')
    const followers = [await open(site), await open(site)]
    for (const follower of followers) expect(follower.headers['cache-status']).toContain('collapsed')
    const bodies = followers.map((follower) => whole(follower))
    stream!.write('second\n')
    stream!.end('last\n')
    expect(await Promise.all(bodies)).toEqual(['first\nsecond\nlast\n', 'first\nsecond\nlast\n'])
    expect(site.calls).toHaveLength(1)
  })

  it('get the rest of a body that is too large to be kept, if they have its beginning', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, maxBytes: 1000 })
    let stream: Response | undefined
    site.answers((_request, response) => {
      stream ??= response
      response.write('a'.repeat(600))
      if (stream !== response) response.end()
    })
    const leading = whole(await open(site))
    const following = whole(await open(site))
    stream!.write('b'.repeat(600))
    // No later request gets it.
    expect(await whole(await open(site))).toBe('a'.repeat(600))
    stream!.end('c'.repeat(600))
    const all = 'a'.repeat(600) + 'b'.repeat(600) + 'c'.repeat(600)
    expect(await Promise.all([leading, following])).toEqual([all, all])
  })

  it('never look complete if the response that they follow was cut off', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    site.answers((_request, response) => {
      stream = response
      response.write('first')
    })
    const leading = open(site).then(whole)
    leading.catch(() => {})
    await expect.poll(() => site.calls.length).toBe(1)
    const follower = whole(await open(site))
    stream!.destroy()
    await expect(follower).rejects.toThrow('aborted')
    await expect(leading).rejects.toThrow()
  })

  it('run their own handlers immediately if the head makes the response private', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const streams: Response[] = []
    site.answers((_request, response, call) => {
      streams.push(response)
      response.set('Cache-Control', 'private').write(`call ${call}`)
    })
    const [first, second] = [await open(site), await open(site)]
    expect([await firstPart(first), await firstPart(second)]).toEqual(['call 1', 'call 2'])
  })

  it('get nothing that was invalidated before they came', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, tags: ['news'] })
    let stream: Response | undefined
    site.answers((_request, response, call) => {
      if (call > 1) return response.send('new')
      stream = response
      response.write('old ')
    })
    const leading = whole(await open(site))
    await site.cache.invalidateTags(['news'])
    expect(await whole(await open(site))).toBe('new')
    stream!.end('old')
    expect(await leading).toBe('old old')
    expect(await whole(await open(site))).toBe('new')
  })

  it('are not kept waiting by a client that reads nothing', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const body = Buffer.alloc(4_500_000, 'x')
    site.answers(async (_request, response) => {
      for (let at = 0; at < body.length; at += 100_000) {
        if (!response.write(body.subarray(at, at + 100_000))) {
          await new Promise((resolve) => response.once('drain', resolve))
        }
      }
      response.end()
    })
    const idle = await open(site)
    idle.pause()
    expect((await whole(await open(site))).length).toBe(body.length)
    expect((await site.get()).isHit).toBe(true)
    idle.destroy()
  })

  it.each([
    ['nothing', []],
    ['middleware that compresses', [compression({ threshold: 0 })]],
  ])('are broken off where they read nothing of an endless body, with %s in front', async (_what, middlewares) => {
    const followers: Response[] = []
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      maxBytes: 100_000,
      before: (app) => {
        for (const middleware of middlewares) app.use(middleware)
        app.use((_request, response, next) => {
          followers.push(response)
          next()
        })
      },
    })
    let stream: Response | undefined
    site.answers((_request, response) => {
      stream = response
      response.type('text').write('first')
      // compression keeps a part until it is flushed.
      ;(response as { flush?: () => void }).flush?.()
    })
    const leader = await open(site)
    leader.resume()
    const follower = await open(site)
    follower.on('error', () => {}).pause()
    const closed = new Promise<void>((resolve) => followers[1]!.once('close', resolve))
    let isClosed = false
    void closed.then(() => (isClosed = true))
    while (!isClosed) {
      if (!stream!.write(randomBytes(65_536))) await Promise.race([once(stream!, 'drain'), closed])
      await nextTurn()
    }
    expect(followers[1]!.writableFinished).toBe(false)
    stream!.destroy()
  })
})
