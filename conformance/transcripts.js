import { readTranscript } from 'memcache-ts-testing'

/** So many exchanges there are; a transcript that is cut short must not pass for a green one. */
const EXCHANGES = 294

/** @param {string} name */
function recorded(name) {
  return readTranscript(new URL(`transcripts/${name}`, import.meta.url))
}

/**
 * A request that the recording shows with its end cut off cannot be sent again.
 *
 * @param {import('memcache-ts-testing').RecordedExchange} exchange
 */
function isWhole({ sent }) {
  return !sent.some((packet) => packet.endsWith('...'))
}

/**
 * Every exchange as a memcached of that version answered it, in order.
 *
 * @param {'1.6.18' | '1.6.45'} version
 */
export function readRecordings(version) {
  const exchanges = ['text-and-meta', 'more']
    .flatMap((name) => recorded(`${name}.memcached-${version}.txt`))
    .filter(isWhole)
  if (exchanges.length !== EXCHANGES) {
    throw new Error(`${exchanges.length} exchanges of ${version} were read, ${EXCHANGES} are expected`)
  }
  return exchanges
}
