import { escapeBytes, FakeClock, readTranscript, isSameResponse, unescapeBytes } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { packet, responses } from './binary-packets.ts'
import { Exchange } from './exchange.ts'
import { UdpClient } from './udp-client.ts'

const FOLDER = new URL('../../../conformance/transcripts/', import.meta.url)
/** The largest payload of a datagram that loopback carries in one piece. */
const MAX_PAYLOAD_BYTES = 60_000
const NOOP = 'mn\r\n'
const NOOP_REPLY = 'MN\r\n'

/**
 * Whether an exchange can be had by UDP with the same answer: one packet that fits a datagram and begins with a
 * command, is answered, and neither ends the connection, watches, nor leaves a request unfinished.
 */
function fits(sent: readonly string[], received: readonly string[]): boolean {
  const [request, answer] = [unescapeBytes(sent[0]!), received[0] ?? '']
  if (sent.length > 1 || answer === '' || answer.endsWith('[closed]') || request.length > MAX_PAYLOAD_BYTES)
    return false
  return (
    /^[a-z]/.test(request) && request.endsWith('\n') && !/watch|_dump|metadump|mgdump|stats (conns|reset)/.test(request)
  )
}

describe.each([
  ['text-and-meta.memcached-1.6.45.txt', 100],
  ['more.memcached-1.6.45.txt', 80],
  ['fuzz.memcached-1.6.45.txt', 400],
])('replies by UDP are those of memcached 1.6.45 by TCP: %s', (file, least) => {
  const clock = new FakeClock()
  const server = new MemcachedServer({ port: 0, udpPort: 0, clock })
  let client: UdpClient
  beforeAll(async () => {
    await server.listen()
    client = await UdpClient.open(Number(/UDP INET: (\d+)/.exec(server.portLines)![1]))
  })
  afterAll(async () => {
    await client[Symbol.asyncDispose]()
    await server.close()
  })

  it('and has the same effect on the server as by TCP', async () => {
    let count = 0
    const differences: { sent: string; udp: string; tcp: string }[] = []
    await using other = new MemcachedServer({ clock })
    for (const { sent, received } of readTranscript(new URL(file, FOLDER))) {
      if (sent.some((one) => one.endsWith('...'))) continue
      const [ours, theirs] = [new Exchange(server), new Exchange(other)]
      for (const [index, escaped] of sent.entries()) {
        const request = unescapeBytes(escaped)
        const tcp = await theirs.send(request)
        if (!fits(sent, received)) {
          await ours.send(request)
        } else {
          count++
          // With a no-op behind it, so that a request without an answer has one too.
          const { text } = await client.request(request + NOOP)
          const udp = text.endsWith(NOOP_REPLY) ? text.slice(0, -NOOP_REPLY.length) : text
          const isSame = isSameResponse(escapeBytes(comparable(tcp)), escapeBytes(comparable(udp)))
          if (!isSame) differences.push({ sent: escaped, udp, tcp: received[index] ?? '' })
        }
      }
      ours.end()
      theirs.end()
      if (sent.some((one) => /flush_all [1-9]/.test(one))) clock.advanceSeconds(3)
    }
    expect(differences).toEqual([])
    expect(count).toBeGreaterThan(least)
  })
})

/** Cas uniques count what happened before on each server. */
function comparable(answer: string): string {
  return answer.replaceAll(/(VALUE \S+ \d+ \d+ )\d+/g, '$1<cas>').replaceAll(/\bc\d+/g, 'c<cas>')
}

it('binary requests by UDP have the recorded responses', async () => {
  await using server = new MemcachedServer({ port: 0, udpPort: 0, clock: new FakeClock() })
  await server.listen()
  await using client = await UdpClient.open(Number(/UDP INET: (\d+)/.exec(server.portLines)![1]))
  let count = 0
  for (const { sent, received } of readTranscript(new URL('fuzz-binary.memcached-1.6.45.txt', FOLDER))) {
    const recorded = received[0]!
    if (recorded.endsWith('[closed]')) continue
    const expected = responses(unescapeBytes(recorded))
    const answered = responses((await client.request(Buffer.from(unescapeBytes(sent[0]!), 'latin1'))).text)
    const told = (all: typeof expected) => all.map(({ cas, ...rest }) => ({ ...rest, hasCas: cas !== 0n }))
    expect(told(answered)).toEqual(told(expected))
    count++
  }
  expect(count).toBeGreaterThan(200)
  expect(responses((await client.request(packet(0x0b))).text)[0]!.value).toBe('1.6.45')
})
