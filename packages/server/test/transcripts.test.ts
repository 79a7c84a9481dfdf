import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { Exchange } from './exchange.ts'

/** One exchange of a transcript: what was sent, in its packets, and what came back after each. */
interface Recorded {
  readonly sent: readonly string[]
  readonly received: readonly string[]
}

function readTranscript(file: string): Recorded[] {
  const exchanges: { sent: string[]; received: string[] }[] = []
  for (const line of readFileSync(new URL(`transcripts/${file}`, import.meta.url), 'utf8').split('\n')) {
    if (line.startsWith('> ')) exchanges.push({ sent: line.slice(2).split(' || '), received: [] })
    else if (line.startsWith('  < ')) exchanges.at(-1)!.received.push(line.slice(4))
  }
  return exchanges
}

function unescape(text: string): string {
  return text
    .replaceAll(/\{([^}]+)\}x(\d+)/g, (_, unit: string, count: string) => unit.repeat(Number(count)))
    .replaceAll(/\\(?:r|n|x([0-9a-f]{2}))/g, (escape, hex: string | undefined) =>
      hex === undefined ? (escape === '\\r' ? '\r' : '\n') : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}

function escape(text: string): string {
  return text
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n')
    .replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** Cas uniques count what happened before, and seconds pass differently here: they are compared as numbers only. */
function comparable(text: string): string {
  return text
    .replaceAll(/\bc(?:as=)?\d+\b/g, 'c#')
    .replaceAll(/\bla=\d+/g, 'la=#')
    .replaceAll(/\bt42949\d+/g, 't#')
}

/** Commands that the server does not have yet; issue by issue this list gets shorter. */
const NOT_YET = /^(?:cache_memlimit|shutdown|slabs|lru|lru_crawler|watch)\b|\\nwatch\\r/

describe('replies are those of memcached 1.6.45', () => {
  let nowMs = 1_800_000_000_000
  const server = new MemcachedServer({ clock: { nowMs: () => nowMs } })
  afterAll(() => server.close())
  const exchanges = readTranscript('text-and-meta.memcached-1.6.45.txt').filter(
    // A line cut off in the recording cannot be sent again.
    ({ sent }) => !sent.some((packet) => packet.endsWith('...') || NOT_YET.test(packet)),
  )

  it('has a transcript to compare with', () => {
    expect(exchanges.length).toBe(131)
  })

  it.each(exchanges.map((exchange) => [exchange.sent.join(' || ').slice(0, 100), exchange] as const))(
    '%s',
    async (_, { sent, received }) => {
      const exchange = new Exchange(server)
      for (const [index, packet] of sent.entries()) {
        const reply = escape(await exchange.send(unescape(packet)))
        expect(comparable(exchange.closed ? `${reply} [closed]` : reply)).toBe(comparable(received[index]!))
      }
      exchange.end()
      // While it was recorded, the delayed flush fired before the next exchange that asks for what it removed.
      if (sent[0]!.includes('flush_all 2')) nowMs += 3000
    },
  )
})
