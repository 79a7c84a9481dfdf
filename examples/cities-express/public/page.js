import { showAnswer } from './answers.js'
import { answers, ask, Away } from './api.js'
import { byId, html } from './element.js'
import { pollHits } from './hits.js'
import { secondsToReset, showLimit, tickLimit } from './limit.js'
import { drawNeighbours } from './neighbours.js'
import { hideNotice, showNotice } from './notice.js'
import { searchField } from './search.js'
import { count, country, kilometres, milliseconds, position, wholeNumber } from './words.js'

const FIRST_CITY = 2267057 // Lisbon: one sees the sea
const AROUND_KM = 60
const MAX_AROUND = 200 // cities in an answer
const POLL_MS = 2000

/** The city that is shown; `undefined` until the service has answered. */
let here
let visits = 0

async function visit(id) {
  const visitNumber = ++visits
  const { answer: city } = await ask(`/api/cities/${id}`)
  if (visitNumber !== visits) return // one went on to another city while this one was asked for
  here = city
  byId('name').textContent = city.name
  byId('where').textContent = `${country(city.country)}, ${position(city)}`
  byId('population').value = count(city.population)
  byId('curl').textContent = `curl -i '${location.origin}${aroundPath()}'`
  await Promise.all([lookAround(), showVisits()])
}

async function lookAround() {
  const centre = here
  const { answer, timing } = await ask(aroundPath())
  if (centre !== here) return
  const fromDb = timing.dbMs !== null
  byId('answer-text').textContent = fromDb ? 'Answered by the database' : 'Answered by the cache'
  byId('answer-ms').textContent = milliseconds(timing.cacheMs + (timing.dbMs ?? 0))
  byId('answer-ms').className = fromDb ? 'from-db' : 'from-cache'

  const others = answer.cities.filter((city) => city.id !== here.id)
  drawNeighbours(byId('chart'), here, answer.cities, go)
  byId('chart-says').textContent = around(others)
  byId('nearest-title').hidden = others.length === 0
  byId('nearest').replaceChildren(
    ...others.slice(0, 5).map((city) => html('li', {}, cityButton(city), html('small', {}, kilometres(city.km)))),
  )
}

function around(others) {
  if (others.length === 0) return `Nothing within ${AROUND_KM} km: ${here.name} is by itself.`
  const farthest = kilometres(others.at(-1).km)
  return others.length < MAX_AROUND - 1
    ? `${count(others.length)} places around ${here.name}, up to ${farthest} away`
    : `The ${others.length} places nearest to ${here.name}, up to ${farthest} away`
}

function aroundPath() {
  return `/api/near?lat=${here.lat}&lon=${here.lon}&km=${AROUND_KM}`
}

async function showVisits() {
  const { answer } = await ask('/api/me')
  byId('visited').replaceChildren(...answer.lookedAt.map((city) => html('li', {}, cityButton(city))))
}

function cityButton(city) {
  return html('button', { type: 'button', onclick: () => go(city.id) }, city.name)
}

/** Shows the city of the address, or the one that was visited last, which is then in the address. */
async function start() {
  const { answer } = await ask('/api/me')
  const last = answer.lookedAt[0]?.id ?? FIRST_CITY
  const wanted = cityInAddress() ?? last
  const show = async (id) => {
    await visit(id)
    history.replaceState(null, '', `?city=${id}`)
  }
  try {
    await show(wanted)
  } catch (error) {
    if (!(error.status === 400 || error.status === 404) || wanted === last) throw error
    await show(last)
    throw error
  }
}

async function change() {
  if (here === undefined) return start()
  const population = wholeNumber(byId('population').value)
  if (population === undefined) {
    return showNotice('input', () => 'People is a whole number, as 517,802 or 517802: nothing was changed.')
  }
  await ask(`/api/cities/${here.id}`, { method: 'PATCH', body: { population } })
  await visit(here.id)
}

/** Does it, and says on the page what stood in the way. */
async function attempt(work) {
  hideNotice('input')
  hideNotice('refused')
  try {
    await work()
  } catch (error) {
    showProblem(error)
  }
}

function showProblem(error) {
  if (error instanceof Away) showNotice('away', () => error.message)
  else if (error.status === 429) showNotice('limit', overTheLimit)
  else showNotice('refused', () => error.message)
}

function overTheLimit() {
  return `That was the last of this minute's requests. Come back in ${secondsToReset()} s: the cache does not mind, but the limit does.`
}

function tick() {
  tickLimit()
  if (secondsToReset() === 0) hideNotice('limit')
  else showNotice('limit', overTheLimit, { onlyIfShown: true })
}

/** Goes to a city, which is then in the address: for Back, a reload, and a link to send. */
async function goTo(id) {
  if (cityInAddress() !== id) history.pushState(null, '', `?city=${id}`)
  await visit(id)
}

function cityInAddress() {
  return Number(new URLSearchParams(location.search).get('city')) || undefined
}

const go = (id) => attempt(() => goTo(id))

answers.addEventListener('timing', ({ detail }) => showAnswer(detail))
answers.addEventListener('answer', () => hideNotice('away'))
answers.addEventListener('limit', ({ detail }) => {
  showLimit(detail)
  if (detail.left > 0) hideNotice('limit')
})
searchField(go, showProblem)
byId('again').addEventListener('click', () => void attempt(here === undefined ? start : lookAround))
byId('change').addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(change)
})

addEventListener('popstate', () => void attempt(() => visit(cityInAddress() ?? FIRST_CITY)))
setInterval(tick, 1000)
setInterval(() => {
  if (document.hidden) return
  if (here === undefined) void attempt(start)
  void pollHits().catch(showProblem)
}, POLL_MS)

await attempt(async () => {
  await start()
  await pollHits()
})
tickLimit()
