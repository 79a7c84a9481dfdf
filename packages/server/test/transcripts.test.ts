import { readFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import {
  escapeBytes,
  FakeClock,
  readTranscript,
  isSameResponse,
  TestCertificates,
  unescapeBytes,
} from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import type { MemcachedServerOptions } from '../src/options.ts'
import { Exchange, GIVE_UP_MS, SocketExchange } from './exchange.ts'

const FOLDER = new URL('../../../conformance/transcripts/', import.meta.url)
/** Known to be otherwise: see conformance/known-differences.js. */
const KNOWN_DIFFERENCES = new Set([
  'mg djQ= b N30 k v\\r\\nmg djQ= b k v\\r\\nmg v4 k v\\r\\nmd djQ= b k q\\r\\nmg v4\\r\\n',
])

const certificates = new TestCertificates()
const { cert, key } = certificates.issue('server')
const socketFile = join(certificates.folder, 'server.sock')
afterAll(() => certificates.dispose())

/** The ways to a server: its options, and how to connect once it listens; the first one is a stream within this process. */
const WAYS: Record<string, { options: MemcachedServerOptions; open?: (port: number) => Socket }> = {
  'a stream': { options: {} },
  TCP: { options: { port: 0 }, open: (port) => connectPlain(port, '127.0.0.1') },
  'a unix socket': { options: { unixSocket: socketFile }, open: () => connectPlain(socketFile) },
  TLS: {
    options: { port: 0, tls: { chainCertFile: cert, keyFile: key } },
    open: (port) => connect({ port, host: '127.0.0.1', ca: readFileSync(certificates.ca.cert) }),
  },
}

/** The comparison of `npm run conformance`, in this process and with its own clock. */
describe.each(
  [['text-and-meta.memcached-1.6.45.txt', 140] as const, ['more.memcached-1.6.45.txt', 153] as const].flatMap(
    ([file, count]) => Object.keys(WAYS).map((way) => [file, way, count] as const),
  ),
)('replies are those of memcached 1.6.45: %s over %s', (file, way, count) => {
  const { options, open } = WAYS[way]!
  const clock = new FakeClock()
  const server = new MemcachedServer({ ...options, clock })
  let port = 0
  beforeAll(async () => {
    if (open !== undefined) ({ port } = await server.listen())
  })
  afterAll(() => server.close())
  // A line cut off in the recording cannot be sent again.
  const exchanges = readTranscript(new URL(file, FOLDER)).filter(
    ({ sent }) => !sent.some((packet) => packet.endsWith('...')) && !KNOWN_DIFFERENCES.has(sent.join(' || ')),
  )

  it('has a transcript to compare with', () => {
    expect(exchanges.length).toBe(count)
  })

  it.each(exchanges.map((exchange) => [exchange.sent.join(' || ').slice(0, 100), exchange] as const))(
    '%s',
    async (_, { sent, received }) => {
      const exchange = open === undefined ? new Exchange(server) : new SocketExchange(open(port))
      for (const [index, packet] of sent.entries()) {
        const answerOf = (reply: string): string => `${escapeBytes(reply)}${exchange.closed ? ' [closed]' : ''}`
        const isComplete = (reply: string): boolean => isSameResponse(received[index]!, answerOf(reply))
        const answer = answerOf(await exchange.send(unescapeBytes(packet), isComplete))
        if (!isSameResponse(received[index]!, answer)) expect(answer).toBe(received[index])
      }
      exchange.end()
      // During the recording, the delayed flush took effect before the next exchange that requests the removed item.
      if (sent.some((packet) => /flush_all [1-9]/.test(packet))) clock.advanceSeconds(3)
    },
    2 * GIVE_UP_MS,
  )
})
