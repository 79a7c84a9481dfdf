import { svg } from './element.js'
import { count, kilometres } from './words.js'

const RADIUS = 236
const RING_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
const LABELS = 9

/** Draws the cities around one as they lie: north is up, the rings are kilometres, a dot's area is its people. */
export function drawNeighbours(chart, here, cities, onPick) {
  const others = cities.filter((city) => city.id !== here.id)
  const farthestKm = Math.max(1, ...others.map((city) => city.km))
  const largest = Math.max(here.population, ...others.map((city) => city.population), 1)
  const place = (city) => {
    const angle = bearing(here, city)
    const distance = (city.km / farthestKm) * RADIUS
    return { x: Math.sin(angle) * distance, y: -Math.cos(angle) * distance }
  }
  const radius = (city) => 1.6 + 12 * Math.sqrt(city.population / largest)

  // The small ones come last and lie on top, so that each can be clicked.
  const bySize = others.toSorted((a, b) => b.population - a.population)
  const dots = bySize.map((city) => {
    const { x, y } = place(city)
    const says = `${city.name}, ${count(city.population)} people, ${kilometres(city.km)}`
    const attributes = { class: 'dot', cx: x, cy: y, r: radius(city), role: 'button', 'aria-label': says, tabindex: -1 }
    const dot = svg('circle', attributes, svg('title', {}, says))
    dot.style.animationDelay = `${(city.km / farthestKm) * 0.4}s`
    dot.addEventListener('click', () => onPick(city.id))
    dot.dataset.km = city.km
    return dot
  })
  takeKeys(dots.toSorted((a, b) => kmOf(a) - kmOf(b)))
  const self = svg('circle', { class: 'here', r: radius(here) })
  const fontSize = Number.parseFloat(getComputedStyle(chart).fontSize)
  chart.replaceChildren(...rings(farthestKm), ...dots, self, ...labels(bySize, place, radius, radius(here), fontSize))
}

const kmOf = (dot) => Number(dot.dataset.km)

/** One stop of the Tab key for all dots: arrows go to the next nearest and back, Enter and the space bar pick. */
function takeKeys(dots) {
  dots[0]?.setAttribute('tabindex', 0)
  for (const [index, dot] of dots.entries()) {
    dot.addEventListener('keydown', (event) => {
      const next = {
        ArrowRight: index + 1,
        ArrowDown: index + 1,
        ArrowLeft: index - 1,
        ArrowUp: index - 1,
        Home: 0,
        End: dots.length - 1,
      }[event.key]
      if (event.key === 'Enter' || event.key === ' ') dot.dispatchEvent(new MouseEvent('click'))
      else if (dots[next] === undefined) return
      else {
        dot.setAttribute('tabindex', -1)
        dots[next].setAttribute('tabindex', 0)
        dots[next].focus()
      }
      event.preventDefault()
    })
  }
}

function rings(farthestKm) {
  const step = RING_STEPS.find((km) => farthestKm / km < 4) ?? farthestKm
  const drawn = [
    svg('circle', { class: 'ring outer', r: RADIUS }),
    svg('line', { class: 'tick', y1: -RADIUS, y2: -RADIUS - 6 }),
    svg('text', { class: 'north', y: -RADIUS - 10 }, 'N'),
  ]
  for (let km = step; km < farthestKm; km += step) {
    const r = (km / farthestKm) * RADIUS
    if (r > RADIUS - 18) break // too near to the outermost to be told from it
    drawn.push(svg('circle', { class: 'ring', r }), svg('text', { x: 4, y: -r - 3 }, kilometres(km)))
  }
  return drawn
}

/** The names of the largest, where there is room for them. */
function labels(bySize, place, radius, selfRadius, fontSize) {
  const taken = [{ left: -selfRadius, right: selfRadius, top: -selfRadius, bottom: selfRadius }]
  const drawn = []
  for (const city of bySize) {
    if (drawn.length === LABELS) break
    const { x, y } = place(city)
    const width = city.name.length * fontSize * 0.54
    const toTheLeft = x + radius(city) + 4 + width > 256
    const start = toTheLeft ? x - radius(city) - 4 - width : x + radius(city) + 4
    const box = { left: start - 2, right: start + width + 2, top: y - fontSize * 0.7, bottom: y + fontSize * 0.7 }
    if (box.left < -256 || taken.some((other) => overlap(box, other))) continue
    taken.push(box)
    const anchor = toTheLeft ? { x: x - radius(city) - 4, 'text-anchor': 'end' } : { x: start }
    drawn.push(svg('text', { class: 'label', y: y + fontSize / 3, ...anchor }, city.name))
  }
  return drawn
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

/** The direction in which one place lies from another, in radians from north by east. */
function bearing(from, to) {
  const radians = (degrees) => (degrees * Math.PI) / 180
  const [lat1, lat2, east] = [radians(from.lat), radians(to.lat), radians(to.lon - from.lon)]
  return Math.atan2(
    Math.sin(east) * Math.cos(lat2),
    Math.cos(lat1) * Math.sin(lat2) - Math.sin(lat1) * Math.cos(lat2) * Math.cos(east),
  )
}
