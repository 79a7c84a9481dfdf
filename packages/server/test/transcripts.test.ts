import { escapeBytes, FakeClock, readTranscript, sameAnswer, unescapeBytes } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { Exchange } from './exchange.ts'

const FOLDER = new URL('../../../conformance/transcripts/', import.meta.url)
/** Known to be otherwise: see conformance/known-differences.js. */
const KNOWN_DIFFERENCES = new Set([
  'mg djQ= b N30 k v\\r\\nmg djQ= b k v\\r\\nmg v4 k v\\r\\nmd djQ= b k q\\r\\nmg v4\\r\\n',
])

/** What `npm run conformance` does over TCP, on streams in this process and with a clock of its own. */
describe.each([
  ['text-and-meta.memcached-1.6.45.txt', 140],
  ['more.memcached-1.6.45.txt', 153],
])('replies are those of memcached 1.6.45: %s', (file, count) => {
  const clock = new FakeClock()
  const server = new MemcachedServer({ clock })
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
      const exchange = new Exchange(server)
      for (const [index, packet] of sent.entries()) {
        const reply = escapeBytes(await exchange.send(unescapeBytes(packet)))
        const answer = exchange.closed ? `${reply} [closed]` : reply
        if (!sameAnswer(received[index]!, answer)) expect(answer).toBe(received[index])
      }
      exchange.end()
      // While it was recorded, the delayed flush fired before the next exchange that asks for what it removed.
      if (sent.some((packet) => /flush_all [1-9]/.test(packet))) clock.advanceSeconds(3)
    },
  )
})
