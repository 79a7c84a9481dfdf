import { ask } from './api.js'
import { byId, html } from './element.js'
import { count, country, milliseconds } from './words.js'

const SHOWN = 8
const PAUSE_MS = 220

/** The field with its list of cities (the combobox pattern of WAI-ARIA): arrows choose, Enter takes, Escape closes. */
export function searchField(onPick, onProblem) {
  const field = byId('q')
  const list = byId('matches')
  let cities = []
  let chosen = -1
  let pause
  let asking = new AbortController()

  field.addEventListener('input', () => {
    clearTimeout(pause)
    pause = setTimeout(() => void search(), PAUSE_MS)
  })
  field.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') choose(Math.min(chosen + 1, cities.length - 1))
    else if (event.key === 'ArrowUp') choose(Math.max(chosen - 1, 0))
    else if (event.key === 'Escape') close()
    else return
    event.preventDefault()
  })
  field.addEventListener('blur', close)
  byId('search').addEventListener('submit', (event) => {
    event.preventDefault()
    void take()
  })

  /** Takes the chosen city, or the first that there is of this name. */
  async function take() {
    clearTimeout(pause)
    if (chosen < 0) await search()
    if (cities.length > 0) pick(cities[Math.max(chosen, 0)])
  }

  async function search() {
    asking.abort()
    asking = new AbortController()
    cities = []
    const q = field.value.trim()
    if (q === '') return close()
    try {
      const { answer, timing } = await ask(`/api/search?q=${encodeURIComponent(q)}`, { signal: asking.signal })
      cities = answer.cities.slice(0, SHOWN)
      open(answer.cities.length, timing)
    } catch (error) {
      if (error.name !== 'AbortError') onProblem(error)
    }
  }

  function open(found, { dbMs, cacheMs }) {
    chosen = -1
    field.setAttribute('aria-expanded', 'true')
    field.removeAttribute('aria-activedescendant')
    list.replaceChildren(
      ...cities.map((city, index) => {
        const people = html('small', {}, `${country(city.country)}, ${count(city.population)}`)
        const item = html('li', { id: `match-${index}`, role: 'option' }, city.name, people)
        item.setAttribute('aria-selected', 'false')
        // pointerdown, because the field loses the focus, and the list is gone, before a click is one.
        item.addEventListener('pointerdown', (event) => {
          event.preventDefault()
          pick(city)
        })
        return item
      }),
    )
    const by = dbMs === null ? `the cache, ${milliseconds(cacheMs)}` : `the database, ${milliseconds(dbMs + cacheMs)}`
    byId('found-by').textContent = found === 0 ? `No city is called that, says ${by}.` : `From ${by}`
    byId('found').hidden = false
  }

  function choose(index) {
    chosen = index
    for (const [at, item] of [...list.children].entries()) item.setAttribute('aria-selected', String(at === index))
    if (index >= 0) field.setAttribute('aria-activedescendant', `match-${index}`)
  }

  function pick(city) {
    field.value = city.name
    close()
    onPick(city.id)
  }

  function close() {
    clearTimeout(pause)
    asking.abort()
    chosen = -1
    byId('found').hidden = true
    field.setAttribute('aria-expanded', 'false')
    field.removeAttribute('aria-activedescendant')
  }
}
