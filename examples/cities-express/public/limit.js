import { byId, svg } from './element.js'

let current = { left: 100, of: 100 }
let resetsAtMs = 0

/** Shows the rate limit that the last response reported. */
export function showLimit({ left, of, resetSeconds }) {
  current = { left, of }
  resetsAtMs = performance.now() + resetSeconds * 1000
  draw()
}

/** In how many seconds the requests are all there again; 0 if they are. */
export function secondsToReset() {
  return resetsAtMs === 0 ? 0 : Math.max(0, Math.ceil((resetsAtMs - performance.now()) / 1000))
}

/** Once a second: the time that is left, and all again when the window is over. */
export function tickLimit() {
  if (resetsAtMs !== 0 && performance.now() >= resetsAtMs) {
    current.left = current.of
    resetsAtMs = 0
  }
  draw()
}

function draw() {
  const { left, of } = current
  byId('left').textContent = left
  byId('left-of').textContent = `of ${of} requests`
  byId('resets').textContent = left === of ? `${of} a minute.` : `All of them again in ${secondsToReset()} s.`
  byId('limit').classList.toggle('over', left === 0)
  const ticks = byId('ticks')
  ticks.setAttribute('aria-valuemax', of)
  ticks.setAttribute('aria-valuenow', left)
  ticks.replaceChildren(
    ...Array.from({ length: of }, (_, index) => {
      const x = ((index + 0.5) * 100) / of
      return svg('line', { x1: x, x2: x, y1: index % 10 === 0 ? 0 : 6, y2: 20, class: index < left ? '' : 'spent' })
    }),
  )
}
