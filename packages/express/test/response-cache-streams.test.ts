import { once } from 'node:events'
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { Response } from 'express'
import { readUntil } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'
import { Gate } from './gate.ts'
import { EXPRESSES } from './open-app.ts'

describe.each(EXPRESSES)('bodies, on %s', (_, create) => {
  async function open(site: Site, path = '/'): Promise<IncomingMessage> {
    const { port } = site.server.address() as { port: number }
    const [response] = (await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')) as [
      IncomingMessage,
    ]
    return response
  }

  it('sends each chunk when the handler writes it, and stores them all', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const gate = new Gate()
    site.answers(async (_request, response) => {
      response.type('text')
      response.write('eins ')
      await gate.pass()
      response.write(Buffer.from('zwei '))
      response.end('ZHJlaQ==', 'base64')
    })
    const response = await open(site)
    expect(await readUntil(response, ' ')).toBe('eins ')
    gate.open()
    for await (const chunk of response) void chunk
    const stored = await site.get()
    expect(stored.isHit).toBe(true)
    expect(stored.body).toBe('eins zwei drei')
    expect(stored.headers['content-length']).toBe('14')
  })

  it('sends the head when it is flushed', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const gate = new Gate()
    site.answers(async (_request, response) => {
      response.set('Flushed', '1').flushHeaders()
      await gate.pass()
      response.end('done')
    })
    const response = await open(site)
    expect(response.headers['flushed']).toBe('1')
    expect(response.headers['cache-status']).toBe('memcache-ts; fwd=uri-miss')
    gate.open()
    for await (const chunk of response) void chunk
    expect((await site.get()).body).toBe('done')
  })

  it('keeps a handler back that writes more than is stored, and faster than its client reads', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, maxBytes: 1000 })
    const chunk = Buffer.alloc(100_000, 'a')
    let written = 0
    site.answers(async (_request, response) => {
      // As pipes do: not on before the client has taken what there is.
      for (; written < 400; written++) if (!response.write(chunk)) await once(response, 'drain')
      response.end()
    })
    const response = await open(site)
    response.pause()
    await expect.poll(() => written).toBeGreaterThan(0)
    expect(written).toBeLessThan(400)
    let size = 0
    for await (const part of response) size += (part as Buffer).length
    expect(size).toBe(40_000_000)
  })

  it.each([
    ['as it comes', {}],
    ['that says its length', { 'Content-Length': 1001 }],
  ])('sends a body over maxBytes whole, and stores none of it, %s', async (_name, headers) => {
    await using site = await openSite({ create, ttlSeconds: 60, maxBytes: 1000 })
    site.answers((_request, response) => {
      response.set(headers)
      return pipeline(Readable.from([Buffer.alloc(600, 'a'), Buffer.alloc(401, 'b')]), response)
    })
    for (let request = 1; request <= 2; request++) {
      const { body, isHit } = await site.get()
      expect(isHit).toBe(false)
      expect(body).toBe('a'.repeat(600) + 'b'.repeat(401))
    }
    site.answers((_request, response) => response.send('a'.repeat(1000)))
    await site.get()
    expect((await site.get()).isHit).toBe(true)
  })

  it('with trailers are not stored, so that each client gets them', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => {
      response.set('Trailer', 'Checksum')
      response.write('body')
      response.addTrailers({ Checksum: 'abc' })
      response.end()
    })
    for (let client = 0; client < 2; client++) {
      const response = await open(site)
      for await (const chunk of response) void chunk
      expect(response.trailers['checksum']).toBe('abc')
    }
    expect((await site.get()).isHit).toBe(false)
  })

  it('passes interim responses on', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => {
      response.writeProcessing()
      response.writeEarlyHints({ link: '</style.css>; rel=preload' })
      response.send('final')
    })
    const { port } = site.server.address() as { port: number }
    const asked = get({ host: '127.0.0.1', port, agent: false })
    const interim: number[] = []
    asked.on('information', ({ statusCode }) => interim.push(statusCode))
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    expect(interim).toEqual([102, 103])
    expect((await site.get()).body).toBe('final')
  })

  it.each([
    ['breaks off', (response: Response) => response.destroy()],
    [
      'breaks off its source',
      (response: Response) =>
        pipeline(
          Readable.from(
            (function* () {
              yield 'a'
              throw new Error('the source is gone')
            })(),
          ),
          response,
        ).catch(() => {}),
    ],
  ])('stores nothing of a response that %s', async (_name, breakOff) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => {
      response.write('half')
      return breakOff(response)
    })
    await expect(site.get()).rejects.toThrow()
    site.answers((_request, response) => response.send('whole'))
    expect((await site.get()).body).toBe('whole')
  })

  it('stores nothing of a response whose client has disconnected', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    let hasEnded = false
    site.answers(async (_request, response) => {
      response.write('half')
      await once(response, 'close')
      response.end(' and half')
      hasEnded = true
    })
    const response = await open(site)
    response.on('error', () => {})
    response.destroy()
    await expect.poll(() => hasEnded).toBe(true)
    site.answers((_request, response) => response.send('whole'))
    expect((await site.get()).body).toBe('whole')
  })

  it('does not store a response that is shorter than its Content-Length', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => {
      response.writeHead(200, { 'Content-Length': 10 })
      response.end('half')
      response.socket!.destroySoon()
    })
    await expect(site.get()).rejects.toThrow()
    site.answers((_request, response) => response.send('whole'))
    expect((await site.get()).body).toBe('whole')
  })

  it('stores an event stream as little as it waits for its end', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => {
      response.type('text/event-stream')
      response.write('data: 1\n\n')
    })
    const [first, second] = await Promise.all([open(site), open(site)])
    expect(first.headers['cache-status']).toBe('memcache-ts; fwd=uri-miss')
    expect(second.headers['cache-status']).toBe('memcache-ts; fwd=uri-miss')
    first.destroy()
    second.destroy()
  })

  it('stores text compressed, and sends it unchanged', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const text = 'all work and no play '.repeat(10_000)
    site.answers((_request, response) => response.type('text').send(text))
    await site.get()
    await expect.poll(async () => (await site.get()).isHit).toBe(true)
    const stored = await site.get()
    expect(stored.body).toBe(text)
    expect(stored.headers['content-encoding']).toBeUndefined()
    expect(Number(site.fleet.server.stats()['bytes'])).toBeLessThan(20_000)
  })

  it.each([
    ['gzip', gzipSync('text '.repeat(1000))],
    ['br', brotliCompressSync('text '.repeat(1000))],
  ])('keeps what is compressed by its handler with %s, for those who take it', async (encoding, body) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => {
      response.vary('Accept-Encoding').type('text')
      if (request.headers['accept-encoding'] === encoding) response.set('Content-Encoding', encoding).send(body)
      else response.send('plain')
    })
    for (let request = 1; request <= 2; request++) {
      const coded = await site.get('/', { 'Accept-Encoding': encoding })
      expect(coded.headers['content-encoding']).toBe(encoding)
      expect(coded.headers['content-length']).toBe(String(body.length))
      expect((await site.get()).body).toBe('plain')
    }
    expect(site.calls).toHaveLength(2)
  })

  it('keeps a body of several megabytes', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const body = Buffer.from(Array.from({ length: 400_000 }, (_value, index) => `${index};`).join(''))
    site.answers((_request, response) => response.type('bin').send(body))
    await site.get()
    const stored = await site.get()
    expect(stored.isHit).toBe(true)
    expect(stored.body).toBe(body.toString())
  })

  it('allows responses without a body', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => response.status(204).end())
    await site.get()
    const { status, body, isHit, headers } = await site.get()
    expect([status, body, isHit, headers['content-length']]).toEqual([204, '', true, undefined])
  })
})
