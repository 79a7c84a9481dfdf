import { ask } from './api.js'
import { byId, svg } from './element.js'
import { count, megabytes } from './words.js'

const POLLS = 60
const polls = []
let before

/**
 * Asks for the statistics and draws what the cache had since the last time. Hits and misses are those that the kit
 * counts: memcached itself counts a miss that it gives a lease for as a hit.
 */
export async function pollHits() {
  const { answer } = await ask('/api/stats', { countTime: false })
  const now = answer.cache
  polls.push({ hits: now.hits - (before?.hits ?? now.hits), misses: now.misses - (before?.misses ?? now.misses) })
  before = now

  const asked = now.hits + now.misses
  byId('ratio').textContent = asked === 0 ? '–' : `${Math.round((now.hits / asked) * 100)} %`
  byId('counts').textContent = `${count(now.hits)} hits, ${count(now.misses)} misses`
  byId('server').textContent = saying(answer.servers)
  drawSpark(polls.slice(-POLLS))
}

function saying(servers) {
  const names = Object.keys(servers)
  if (names.length === 0) return 'memcached is away: the database answers everything'
  const sum = (name) => Object.values(servers).reduce((total, server) => total + server[name], 0)
  return `${names.join(', ')}: ${count(sum('curr_items'))} items, ${megabytes(sum('bytes'))}`
}

function drawSpark(shown) {
  const most = Math.max(4, ...shown.map((poll) => Math.max(poll.hits, poll.misses)))
  const bars = shown.flatMap(({ hits, misses }, index) => {
    const place = { x: POLLS - shown.length + index + 0.15, width: 0.7 }
    const up = (hits / most) * 11
    const down = (misses / most) * 7
    return [
      svg('rect', { class: 'hit', ...place, y: 12 - up, height: Math.max(0.5, up) }),
      svg('rect', { class: 'miss', ...place, y: 12.5, height: down }),
    ]
  })
  byId('spark').replaceChildren(svg('line', { x1: 0, x2: POLLS, y1: 12.25, y2: 12.25 }), ...bars)
}
