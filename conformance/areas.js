/** The areas of the exchanges, by the first command that an exchange sends. */
const AREAS = [
  ['retrieval: get, gets', /^gets?\b(?! HTTP)/],
  ['get and touch: gat, gats', /^gats?\b/],
  ['storage: set, add, replace, append, prepend, cas', /^(?:set|add|replace|append|prepend|cas)\b/],
  ['arithmetic: incr, decr', /^(?:incr|decr)\b/],
  ['deletion and touch', /^(?:delete|touch)\b/],
  ['meta get: mg', /^mg\b/],
  ['meta set: ms', /^ms\b/],
  ['meta delete: md', /^md\b/],
  ['meta arithmetic: ma', /^ma\b/],
  ['meta noop and debug: mn, me', /^m[ne]\b/],
  ['flush_all, verbosity, version, quit', /^(?:flush_all|verbosity|version|quit)\b/],
  ['stats', /^stats\b/],
  [
    'operators: lru, lru_crawler, slabs, cache_memlimit, shutdown, watch',
    /^(?:lru|lru_crawler|slabs|cache_memlimit|shutdown|watch)\b/,
  ],
]

const OTHER = 'unknown commands, malformed lines'

/** @param {string} packet */
export function areaOf(packet) {
  const area = AREAS.find(([, pattern]) => pattern.test(packet.replace(/^\{k\}x\d+/, '')))
  return area?.[0] ?? OTHER
}

export const ALL_AREAS = [...AREAS.map(([name]) => name), OTHER]
