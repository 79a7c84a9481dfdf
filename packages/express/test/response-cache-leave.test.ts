import { once } from 'node:events'
import { get as httpGet } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import type { NextFunction, Response } from 'express'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'
import { EXPRESSES } from './open-app.ts'

async function open(site: Site, path = '/'): Promise<IncomingMessage> {
  const { port } = site.server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    httpGet({ port, host: '127.0.0.1', path, agent: false }, resolve).on('error', reject)
  })
}

async function whole(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of response) text += String(part)
  return text
}

/** Ends a client's connection, and returns when the server has seen that. */
async function leave(client: IncomingMessage, stream: Response): Promise<void> {
  client.on('error', () => {})
  const closed = once(stream.socket!, 'close')
  client.destroy()
  await closed
}

describe.each(EXPRESSES)('a client that disconnects while its handler writes, on %s', (_name, create) => {
  it('does not affect joined clients: the handler continues, and its response is stored', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    const told: string[] = []
    site.answers((request, response) => {
      stream = response
      response.on('close', () => told.push('close'))
      request.on('aborted', () => told.push('aborted'))
      response.write('first ')
    })
    const leader = await open(site)
    const following = whole(await open(site))
    await leave(leader, stream!)
    expect(told).toEqual([])
    expect(stream!.destroyed).toBe(false)
    expect(stream!.write('second ')).toBe(true)
    stream!.end('last')
    expect(await following).toBe('first second last')
    expect(told.toSorted()).toEqual(['aborted', 'close'])
    expect(await site.get()).toMatchObject({ isHit: true, body: 'first second last' })
    expect(site.calls).toHaveLength(1)
  })

  it('does not affect clients that joined a piped stream', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const source = new PassThrough()
    let stream: Response | undefined
    site.answers((_request, response) => {
      stream = response
      source.pipe(response)
    })
    source.write('first ')
    const leader = await open(site)
    const following = whole(await open(site))
    await leave(leader, stream!)
    source.write('second ')
    source.end('last')
    expect(await following).toBe('first second last')
  })

  it('does not affect clients that wait for the head', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    site.answers((_request, response) => void (stream ??= response))
    const { port } = site.server.address() as AddressInfo
    const leader = httpGet({ port, host: '127.0.0.1', path: '/', agent: false }).on('error', () => {})
    await expect.poll(() => site.calls.length).toBe(1)
    const following = site.get()
    await expect.poll(() => site.cache.stats().coalesced).toBe(1)
    const closed = once(stream!.socket!, 'close')
    leader.destroy()
    await closed
    stream!.send('body')
    expect(await following).toMatchObject({ status: 200, body: 'body' })
    expect(site.calls).toHaveLength(1)
  })

  it('disconnects joined clients if the source of the stream is destroyed with it', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const source = new PassThrough()
    let stream: Response | undefined
    site.answers((_request, response) => {
      stream = response
      response.socket!.once('close', () => source.destroy())
      source.pipe(response)
    })
    source.write('first ')
    const leader = await open(site)
    const following = whole(await open(site))
    await leave(leader, stream!)
    await expect(following).rejects.toThrow('aborted')
    expect(stream!.destroyed).toBe(true)
  })

  it('if the handler itself closes the connection, waiting clients run their own handlers', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    const told: string[] = []
    site.answers((_request, response, call) => {
      if (call > 1) return response.send('own')
      stream = response
      return response.on('close', () => told.push('close'))
    })
    const leader = site.get()
    await expect.poll(() => stream).toBeDefined()
    const waiting = site.get()
    await expect.poll(() => site.cache.stats().coalesced).toBe(1)
    const closed = once(stream!.socket!, 'close')
    stream!.socket!.end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw')
    expect((await leader).body).toBe('raw')
    await closed
    expect(told).toEqual(['close'])
    expect((await waiting).body).toBe('own')
  })

  it('stops the handler when the last joined client has disconnected, too', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    let isClosed = false
    site.answers((_request, response, call) => {
      if (call > 1) return response.send('again')
      stream = response
      response.on('close', () => (isClosed = true))
      response.write('first ')
    })
    const leader = await open(site)
    const follower = await open(site)
    await leave(leader, stream!)
    expect(isClosed).toBe(false)
    follower.on('error', () => {})
    follower.destroy()
    await expect.poll(() => isClosed).toBe(true)
    expect(stream!.destroyed).toBe(true)
    expect(await site.get()).toMatchObject({ body: 'again' })
  })

  it('stops the handler immediately if no client has joined', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let stream: Response | undefined
    let isClosed = false
    site.answers((_request, response) => {
      stream = response
      response.on('close', () => (isClosed = true))
      response.write('first ')
    })
    await leave(await open(site), stream!)
    expect(isClosed).toBe(true)
  })

  it.each([
    ['fails after the head', (_: Response, next: NextFunction) => next(new Error('failed'))],
    ['destroys its connection', ({ socket }: Response) => void socket?.destroy()],
    ['destroys its request', ({ req }: Response) => void req.destroy()],
    ['destroys its response', (response: Response) => void response.destroy()],
  ])('breaks those who follow off at once if the handler %s', async (_what, end) => {
    // Otherwise they would be disconnected after some seconds of silence.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    for (const hasLeft of [false, true]) {
      await using site = await openSite({ create, ttlSeconds: 60 })
      const handlers: [Response, NextFunction][] = []
      site.answers((_request, response, _call, next) => {
        handlers.push([response, next])
        response.write('first ')
      })
      const leader = await open(site)
      const following = whole(await open(site))
      const [response, next] = handlers[0]!
      leader.on('error', () => {})
      if (hasLeft) await leave(leader, response)
      end(response, next)
      await expect(following, String(hasLeft)).rejects.toThrow('aborted')
      expect(handlers).toHaveLength(1)
    }
  })
})
