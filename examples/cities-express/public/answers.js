import { byId, svg } from './element.js'
import { milliseconds } from './words.js'

const SHOWN = 60
const taken = []

/** One more bar: what the database and what the cache took for this answer. */
export function showAnswer(timing) {
  taken.push(timing)
  const shown = taken.slice(-SHOWN)
  const highestMs = Math.max(20, ...shown.map((each) => each.cacheMs + (each.dbMs ?? 0)))
  const bars = byId('bars')
  bars.replaceChildren(...shown.flatMap((each, index) => bar(each, SHOWN - shown.length + index, 100 / highestMs)))
  byId('scale').textContent = milliseconds(highestMs)
  byId('answers-say').textContent = summary()
}

function bar({ path, dbMs, cacheMs }, x, scale) {
  const title = () =>
    svg(
      'title',
      {},
      `${path}: ${dbMs === null ? '' : `database ${milliseconds(dbMs)}, `}cache ${milliseconds(cacheMs)}`,
    )
  // A cache answers in so little time that its bar needs a least height to be seen at all.
  const cacheHeight = Math.max(1.5, cacheMs * scale)
  const place = { x: x + 0.15, width: 0.7 }
  const cache = svg('rect', { class: 'cache', ...place, y: 100 - cacheHeight, height: cacheHeight }, title())
  if (dbMs === null) return [cache]
  const dbHeight = Math.max(1.5, dbMs * scale)
  return [svg('rect', { class: 'db', ...place, y: 100 - cacheHeight - dbHeight, height: dbHeight }, title()), cache]
}

function summary() {
  const fromDb = taken.filter((each) => each.dbMs !== null).map((each) => each.dbMs + each.cacheMs)
  const fromCache = taken.filter((each) => each.dbMs === null).map((each) => each.cacheMs)
  const says = [...saying('the database', fromDb), ...saying('the cache', fromCache)].join('; ')
  return `${says[0].toUpperCase()}${says.slice(1)}.`
}

function saying(who, times) {
  return times.length === 0 ? [] : [`${who} took ${milliseconds(median(times))}, the median of ${times.length}`]
}

function median(times) {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]
}
