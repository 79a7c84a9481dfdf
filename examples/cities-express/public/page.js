import { showAnswer } from './answers.js'
import { answers, ask } from './api.js'
import { byId, html } from './element.js'
import { pollHits } from './hits.js'
import { showLimit, tickLimit } from './limit.js'
import { drawNeighbours } from './neighbours.js'
import { searchField } from './search.js'
import { count, country, kilometres, milliseconds, position } from './words.js'

const FIRST_CITY = 2267057 // Lisbon: one sees the sea
const AROUND_KM = 60
const MOST_AROUND = 200 // cities in an answer
const POLL_MS = 2000

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
  return others.length < MOST_AROUND - 1
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

async function change() {
  const population = Number(byId('population').value.replaceAll(/[\s,.]/g, ''))
  await ask(`/api/cities/${here.id}`, { method: 'PATCH', body: { population } })
  await visit(here.id)
}

/** Does it, and says on the page what stood in the way. */
async function attempt(work) {
  try {
    await work()
    byId('notice').hidden = true
  } catch (error) {
    showProblem(error)
  }
}

function showProblem(error) {
  byId('notice').textContent =
    error.status === 429
      ? `That was the last of this minute's requests. Come back in ${error.retryAfterSeconds} s: the cache does not mind, but the limit does.`
      : error.message
  byId('notice').hidden = false
}

const go = (id) => attempt(() => visit(id))

answers.addEventListener('timing', ({ detail }) => showAnswer(detail))
answers.addEventListener('limit', ({ detail }) => showLimit(detail))
searchField(go, showProblem)
byId('again').addEventListener('click', () => void attempt(lookAround))
byId('change').addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(change)
})

setInterval(tickLimit, 1000)
setInterval(() => {
  if (!document.hidden) void pollHits().catch(showProblem)
}, POLL_MS)

await attempt(async () => {
  const { answer } = await ask('/api/me')
  await visit(answer.lookedAt[0]?.id ?? FIRST_CITY)
  await pollHits()
})
tickLimit()
