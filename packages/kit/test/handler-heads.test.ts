import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { cacheHandler } from '../src/http/index.ts'
import { openCache } from './open-cache.ts'

/** Fields about the connection and the framing of the body, and those that a cache adds. */
const LEFT_OUT = new Set([
  'age',
  'cache-status',
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'transfer-encoding',
])

async function open(listener: RequestListener) {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    /** Everything of a response that must not depend on the cache. */
    async get() {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest({ host: '127.0.0.1', port, agent: false }, resolve).on('error', reject).end()
      })
      const fields = Object.entries(response.headersDistinct).filter(([name]) => !LEFT_OUT.has(name))
      const { statusCode, statusMessage } = response
      return { statusCode, statusMessage, fields: Object.fromEntries(fields), body: await text(response) }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Write = (response: ServerResponse) => unknown
type AnyWriteHead = (...args: unknown[]) => ServerResponse

function writeHead(response: ServerResponse, ...args: unknown[]): ServerResponse {
  return (response.writeHead as AnyWriteHead)(...args)
}

function orCode(response: ServerResponse, write: () => unknown): void {
  try {
    write()
  } catch (error) {
    response.statusCode = 200
    response.setHeader('X-Error', String((error as { code?: unknown }).code))
  }
}

/** The ways in which handlers write heads. */
const WAYS: Record<string, Write> = {
  'a flat list with lists in it': (response) =>
    writeHead(response, 200, ['Link', ['<a>', '<b>'], 'X-A', '1']).end('body'),
  'a flat list with a name twice': (response) => writeHead(response, 200, ['X-B', '1', 'X-A', '1']).end('body'),
  'no reason but fields after it': (response) => writeHead(response, 404, undefined, { 'X-A': '1' }).end('body'),
  'null as reason': (response) => writeHead(response, 404, null, { 'X-A': '1' }).end('body'),
  'a reason without fields': (response) => writeHead(response, 200, 'Fine', undefined).end('body'),
  'a reason and fields': (response) => writeHead(response, 200, 'Fine', { 'X-A': '1' }).end('body'),
  'a status as text': (response) => writeHead(response, '404', { 'X-A': '1' }).end('body'),
  'a status property as text': (response) => {
    Object.assign(response, { statusCode: '204' })
    response.end()
  },
  '304 as text': (response) => {
    Object.assign(response, { statusCode: '304' })
    response.end()
  },
  'a list without the last value': (response) => {
    orCode(response, () => writeHead(response, 200, ['X-A']))
    response.end('body')
  },
  'an invalid status': (response) => {
    orCode(response, () => writeHead(response, 99))
    response.end('body')
  },
  'an invalid name': (response) => {
    orCode(response, () => writeHead(response, 200, { 'a b': '1' }))
    response.end('body')
  },
  'several types': (response) => writeHead(response, 200, ['Content-Type', 'a/b', 'Content-Type', 'c/d']).end('body'),
  setHeaders: (response) => response.setHeaders(new Headers({ 'x-a': '1' })).end('body'),
  'two ends': (response) => {
    response.on('error', () => {})
    response.end('body')
    response.end('more')
  },
  'corked parts': (response) => {
    response.cork()
    response.write('bo')
    response.uncork()
    response.end('dy')
  },
  'an encoding': (response) => response.end('Ym9keQ==', 'base64'),
}

describe('a response whose handler writes its head in any way that Node allows', () => {
  it.each(Object.entries(WAYS))('is the same without the cache, on a miss and on a hit: %s', async (_way, write) => {
    await using fixture = await openCache()
    await using bare = await open((_request, response) => void write(response))
    await using cached = await open(
      cacheHandler((_request, response) => void write(response), { ttlSeconds: 60, cache: fixture.cache }),
    )
    const expected = await bare.get()
    expect(await cached.get()).toEqual(expected)
    expect(await cached.get()).toEqual(expected)
  })
})
