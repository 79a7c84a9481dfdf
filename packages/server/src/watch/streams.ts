/** The streams of events, as bits (protocol.txt, "Watchers"). */
export const EventStream = {
  fetchers: 1 << 0,
  mutations: 1 << 1,
  evictions: 1 << 2,
  connevents: 1 << 3,
  deletions: 1 << 4,
  rawcmds: 1 << 5,
  sysevents: 1 << 6,
  /** The streams of memcached's proxy are accepted, and have no events. */
  proxyreqs: 1 << 7,
  proxyevents: 1 << 8,
  proxyuser: 1 << 9,
} as const

/** The streams of a `watch` command: fetchers without an argument; `undefined` for one that does not exist. */
export function readStreams(words: readonly string[]): number | undefined {
  let streams = words.length === 0 ? EventStream.fetchers : 0
  for (const word of words) {
    if (!Object.hasOwn(EventStream, word)) return undefined
    streams |= EventStream[word as keyof typeof EventStream]
  }
  return streams
}
