import { escapeBytes, FakeClock, readTranscript, isSameResponse, unescapeBytes } from 'memcache-ts-testing'
import { expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { Exchange } from './exchange.ts'

const FOLDER = new URL('../../../conformance/transcripts/', import.meta.url)
/** A transcript that is cut short must not pass for a green one. */
const MIN_EXCHANGES = 500

/**
 * The cas uniques that `gets` returns count what happened before, in another way than memcached's; and what is left of
 * a lifetime that ends in 2038 depends on the day.
 */
function comparable(answer: string): string {
  return answer.replaceAll(/(VALUE \S+ \d+ \d+ )\d+/g, '$1<cas>').replaceAll(/\b(t|exp=)\d{9}\b/g, '$1<until 2038>')
}

/** Returns the responses of our server that differ from the recorded ones. */
async function differences(recording: string): Promise<{ sent: string; recorded: string; received: string }[]> {
  await using server = new MemcachedServer({ clock: new FakeClock() })
  const found = []
  const exchanges = readTranscript(new URL(recording, FOLDER))
  expect(exchanges.length).toBeGreaterThan(MIN_EXCHANGES)
  for (const { sent, received } of exchanges) {
    const exchange = new Exchange(server)
    const answer = escapeBytes(await exchange.send(unescapeBytes(sent[0]!)))
    const [recorded, answered] = [comparable(received[0]!), comparable(exchange.closed ? `${answer} [closed]` : answer)]
    if (!isSameResponse(recorded, answered)) found.push({ sent: sent[0]!, recorded, received: answered })
    exchange.end()
  }
  return found
}

/**
 * `conformance/fuzz-requests.js`, seed 45: numbers on both sides of every limit, flags that are none, words too many
 * and too few. Exchanges whose answer does not end, since a data block is waited for, were left out.
 */
it('responds to random requests of all text and meta commands like memcached 1.6.45', async () => {
  expect(await differences('fuzz.memcached-1.6.45.txt')).toEqual([])
})

it('is silent after noreply if memcached 1.6.45 is: every command, every error, every place for the word', async () => {
  expect(await differences('noreply.memcached-1.6.45.txt')).toEqual([])
})
