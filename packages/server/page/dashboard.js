const HISTORY = 120
const $ = (selector) => document.querySelector(selector)
const numbers = new Intl.NumberFormat('en')
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

const count = (value) => (value >= 100_000 ? compact.format(value) : numbers.format(Math.round(value)))
const rate = (value) => (value > 0 && value < 10 ? value.toFixed(1) : count(value))
function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  for (; value >= 1000 && unit < 4; unit++) value /= 1024
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}
const share = (part, all) => (all === 0 ? '–' : `${((100 * part) / all).toFixed(1)}\u00a0%`)
const ms = (value) =>
  value === undefined || value === null ? '–' : `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`

/** An element; strings become text, never markup. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  element.append(...children)
  return element
}
function shape(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** The `d` of a line over the last two minutes; a point that is missing interrupts it. */
function lineOf(values, most, [width, height]) {
  let d = ''
  let isDrawing = false
  for (const [index, value] of values.entries()) {
    if (value === undefined || value === null) {
      isDrawing = false
      continue
    }
    const x = ((HISTORY - values.length + index) * width) / (HISTORY - 1)
    const y = height - (Math.min(value, most) / most) * height
    d += `${isDrawing ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`
    // A point alone is to be seen too.
    if (!isDrawing) d += 'h.01'
    isDrawing = true
  }
  return d
}
function roundUp(value) {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value)
}

/** A chart of lines over the last two minutes, with its legend, which shows the last values, or those under the pointer. */
class Chart {
  constructor(section, lines, { format, fixedMost }) {
    Object.assign(this, { lines, format, fixedMost, points: [], at: undefined })
    this.title = section.querySelector('h2').textContent
    this.legend = lines.map(({ name }, index) => {
      const value = el('b', {}, '–')
      const item = el('li', { class: `c${index + 1}` }, el('span', { class: 'mark' }), '')
      const label = el('span', { class: 'note' }, `${name} `)
      item.append(label, value)
      return { item, value }
    })
    this.svg = shape('svg', { viewBox: '0 0 600 160', preserveAspectRatio: 'none', role: 'img' })
    this.svg.append(shape('line', { x1: 0, x2: 600, y1: 0, y2: 0 }), shape('line', { x1: 0, x2: 600, y1: 80, y2: 80 }))
    this.paths = lines.map((_, index) => shape('path', { class: `c${index + 1}` }))
    this.cursor = shape('line', { class: 'at', y1: 0, y2: 160, visibility: 'hidden' })
    this.svg.append(...this.paths, this.cursor)
    this.most = el('span', { class: 'most note', 'aria-hidden': 'true' })
    const axis = el(
      'div',
      { class: 'axis note', 'aria-hidden': 'true' },
      el('span', {}, '2 minutes ago'),
      el('span', {}, 'now'),
    )
    section.append(
      el('ul', { class: 'legend' }, ...this.legend.map(({ item }) => item)),
      el('div', { class: 'chart' }, this.svg, this.most),
      axis,
    )
    this.svg.addEventListener('pointermove', (event) => {
      const box = this.svg.getBoundingClientRect()
      this.at = Math.round(((event.clientX - box.left) / box.width) * (HISTORY - 1))
      this.#legend()
    })
    this.svg.addEventListener('pointerleave', () => {
      this.at = undefined
      this.#legend()
    })
  }

  draw(points) {
    this.points = points
    const series = this.lines.map(({ of }) => points.map((point) => of(point)))
    const most = this.fixedMost ?? roundUp(Math.max(0, ...series.flat().map((value) => value ?? 0)))
    for (const [index, values] of series.entries())
      this.paths[index].setAttribute('d', lineOf(values, most, [600, 160]))
    setText(this.most, this.format(most))
    this.#legend()
    const last = points.at(-1)
    const says = this.lines.map(({ name, of }) => `${name} ${last === undefined ? '–' : this.#text(of(last))}`)
    this.svg.setAttribute('aria-label', `${this.title}, now: ${says.join(', ')}`)
  }

  #text(value) {
    return value === undefined || value === null ? '–' : this.format(value)
  }

  #legend() {
    const index = this.at === undefined ? this.points.length - 1 : this.at - (HISTORY - this.points.length)
    const point = this.points[index]
    for (const [line, { value }] of this.legend.entries()) {
      setText(value, point === undefined ? '–' : this.#text(this.lines[line].of(point)))
    }
    this.cursor.setAttribute('visibility', this.at === undefined ? 'hidden' : 'visible')
    if (this.at === undefined) return
    const x = (this.at * 600) / (HISTORY - 1)
    this.cursor.setAttribute('x1', x)
    this.cursor.setAttribute('x2', x)
  }
}

const ratio = (rates) =>
  rates && rates.hits + rates.misses > 0 ? (100 * rates.hits) / (rates.hits + rates.misses) : undefined
const charts = [
  new Chart(
    $('#operations'),
    [
      { name: 'get', of: ({ rates }) => rates?.get },
      { name: 'set', of: ({ rates }) => rates?.set },
      { name: 'delete', of: ({ rates }) => rates?.delete },
      { name: 'incr, decr', of: ({ rates }) => rates?.count },
      { name: 'touch', of: ({ rates }) => rates?.touch },
    ],
    { format: rate },
  ),
  new Chart(
    $('#latency'),
    [
      { name: 'p50', of: ({ p50 }) => p50 },
      { name: 'p99', of: ({ p99 }) => p99 },
    ],
    { format: ms },
  ),
  new Chart($('#ratio'), [{ name: 'hits', of: ({ rates }) => ratio(rates) }], {
    format: (value) => (value === 100 ? '100\u00a0%' : `${value.toFixed(1)}\u00a0%`),
    fixedMost: 100,
  }),
]
$('#latency').append(
  el(
    'p',
    { class: 'note' },
    'Ten a second to each server, percentiles of the last 30 seconds; of several servers, the slowest.',
  ),
)

$('#ratio').append(
  el('p', { class: 'note' }, 'As memcached counts: a get that makes a missing item (mg with N, a lease) is a hit.'),
)

/** The state of the page: the history of each server, and the last snapshot. */
const state = {
  histories: new Map(),
  snapshot: undefined,
  selected: '',
  isConnected: false,
  hasToken: false,
  isAuthorized: false,
}

function addRates(all) {
  const known = all.filter(Boolean)
  if (known.length === 0) return undefined
  return Object.fromEntries(
    Object.keys(known[0]).map((name) => [name, known.reduce((sum, rates) => sum + rates[name], 0)]),
  )
}
/** The past of the selected server, or of all together. */
function pointsOf(selected) {
  const histories = selected === '' ? [...state.histories.values()] : [state.histories.get(selected) ?? []]
  if (histories.length === 1) return histories[0]
  const byTime = new Map()
  for (const point of histories.flat()) byTime.set(point.at, [...(byTime.get(point.at) ?? []), point])
  const most = (values) => {
    const known = values.filter((value) => value !== undefined && value !== null)
    return known.length === 0 ? undefined : Math.max(...known)
  }
  return [...byTime.entries()]
    .sort(([a], [b]) => a - b)
    .map(([at, points]) => ({
      at,
      rates: addRates(points.map(({ rates }) => rates)),
      p50: most(points.map(({ p50 }) => p50)),
      p99: most(points.map(({ p99 }) => p99)),
    }))
    .slice(-HISTORY)
}

function figure(id, value, { big, small }) {
  const element = $(id)
  const number = element.querySelector('b')
  setText(number, big)
  number.dataset.value = value
  setText(element.querySelector('p'), small)
  return element
}
function spark(element, values) {
  const svg = element.querySelector('svg')
  if (svg.childElementCount === 0) svg.append(shape('path', { class: 'area' }), shape('path', {}))
  const most = Math.max(1e-9, ...values.map((value) => value ?? 0)) * 1.1
  const d = lineOf(values, most, [120, 28])
  svg.lastElementChild.setAttribute('d', d)
  const known = values.every((value) => value !== undefined && value !== null)
  const start = ((HISTORY - values.length) * 120) / (HISTORY - 1)
  svg.firstElementChild.setAttribute('d', known && d !== '' ? `${d}L120 30L${start.toFixed(1)} 30Z` : '')
}
function meter(element, part, all) {
  const bar = element.querySelector('.bar')
  const percent = all > 0 ? Math.min(100, (100 * part) / all) : 0
  bar.firstElementChild.style.width = `${percent}%`
  bar.setAttribute('aria-valuenow', String(Math.round(percent)))
  bar.classList.toggle('full', percent > 90)
}

function drawFigures(figures, rates, points) {
  const lookups = figures.get_hits + figures.get_misses
  const recent = points.reduce(
    ([hits, all], { rates: past }) => (past ? [hits + past.hits, all + past.hits + past.misses] : [hits, all]),
    [0, 0],
  )
  const lately = (recent[1] > 0 ? `; ${share(...recent)} lately` : '') + ownRatio()
  const hits = figure('#f-hits', lookups === 0 ? '' : figures.get_hits / lookups, {
    big: share(figures.get_hits, lookups),
    small:
      lookups === 0 ? 'No gets yet' : `${count(figures.get_hits)} hits, ${count(figures.get_misses)} misses${lately}`,
  })
  spark(
    hits,
    points.map((point) => ratio(point.rates)),
  )
  const memory = figure('#f-memory', figures.bytes, {
    big: bytes(figures.bytes),
    small: `of ${bytes(figures.limit_maxbytes)}, ${count(figures.curr_items)} items`,
  })
  meter(memory, figures.bytes, figures.limit_maxbytes)
  const evictions = figure('#f-evictions', figures.evictions, {
    big: count(figures.evictions),
    small: `${rate(rates?.evictions ?? 0)} a second now`,
  })
  evictions.classList.toggle('hot', (rates?.evictions ?? 0) > 0)
  spark(
    evictions,
    points.map((point) => point.rates?.evictions),
  )
  const traffic = (of) => (of ? of.bytesRead + of.bytesWritten : 0)
  const network = figure('#f-network', figures.bytes_read + figures.bytes_written, {
    big: `${bytes(traffic(rates))}/s`,
    small: `${bytes(figures.bytes_read)} in, ${bytes(figures.bytes_written)} out`,
  })
  spark(
    network,
    points.map((point) => (point.rates ? traffic(point.rates) : undefined)),
  )
  const connections = figure('#f-connections', figures.curr_connections, {
    big: count(figures.curr_connections),
    small: `of ${count(figures.max_connections)}, ${count(figures.total_connections)} so far`,
  })
  meter(connections, figures.curr_connections, figures.max_connections)
}
/** The application's own ratio, where it shares one: memcached counts misses that take a lease as hits. */
function ownRatio() {
  const { shared } = state.snapshot
  const ratios = shared.flatMap(({ figures }) =>
    figures.filter(({ name, unit }) => name === 'Hit ratio' && unit === '%'),
  )
  return ratios.length === 1 ? `; ${ratios[0].value.toFixed(1)}\u00a0% for this application` : ''
}
function clearFigures() {
  for (const id of ['#f-hits', '#f-memory', '#f-evictions', '#f-network', '#f-connections'])
    figure(id, '', { big: '–', small: '\u00a0' })
}

function cell(content, name = '') {
  return el('td', name === '' ? {} : { class: name }, content)
}
function fill(section, rows) {
  section.querySelector('.empty').hidden = rows.length > 0
  section.querySelector('.scroll').hidden = rows.length === 0
  section.querySelector('tbody').replaceChildren(...rows)
}
/** The slab classes of several servers together, where their chunks have the same size. */
function mergeSlabs(servers) {
  const merged = new Map()
  for (const slab of servers.flatMap(({ slabs = [] }) => slabs)) {
    const id = `${slab.id}:${slab.chunkBytes}`
    const sum = merged.get(id)
    if (sum === undefined) {
      merged.set(id, { ...slab })
      continue
    }
    for (const name of ['pages', 'usedChunks', 'totalChunks', 'items', 'evicted']) sum[name] += slab[name]
    for (const name of ['ageSeconds', 'evictedAgeSeconds']) sum[name] = Math.max(sum[name], slab[name])
  }
  return [...merged.values()].sort((a, b) => a.chunkBytes - b.chunkBytes)
}
function drawSlabs(servers) {
  const rows = mergeSlabs(servers).map((slab) => {
    const bar = el(
      'div',
      {
        class: 'bar',
        role: 'meter',
        'aria-label': `Chunks used of class ${slab.id}`,
        'aria-valuemin': 0,
        'aria-valuemax': slab.totalChunks,
        'aria-valuenow': slab.usedChunks,
      },
      el('i'),
    )
    bar.firstElementChild.style.width = `${slab.totalChunks > 0 ? (100 * slab.usedChunks) / slab.totalChunks : 0}%`
    return el(
      'tr',
      {},
      cell(String(slab.id)),
      cell(bytes(slab.chunkBytes)),
      cell(count(slab.pages)),
      cell(bar, 'fill'),
      cell(count(slab.items)),
      cell(duration(slab.ageSeconds)),
      cell(count(slab.evicted), slab.evicted > 0 ? 'warn' : ''),
      cell(slab.evicted > 0 ? duration(slab.evictedAgeSeconds) : '–'),
    )
  })
  fill($('#slabs'), rows)
}
function drawPrefixes(servers) {
  const known = servers.map(({ prefixes }) => prefixes).filter(Boolean)
  const isCounted = known.some(({ source }) => source === 'detail')
  const merged = new Map()
  for (const { prefix, ...figures } of known
    .filter(({ source }) => (source === 'detail') === isCounted)
    .flatMap(({ rows }) => rows)) {
    const row = merged.get(prefix) ?? {}
    for (const [name, value] of Object.entries(figures)) row[name] = (row[name] ?? 0) + value
    merged.set(prefix, row)
  }
  const heads = isCounted ? ['Prefix', 'Gets', 'Hit ratio', 'Sets'] : ['Prefix', 'Items', 'Memory']
  $('#prefixes thead').replaceChildren(el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head))))
  const rows = [...merged]
    .sort(([, a], [, b]) => (b.bytes ?? b.gets + b.sets) - (a.bytes ?? a.gets + a.sets))
    .slice(0, 20)
  fill(
    $('#prefixes'),
    rows.map(([prefix, row]) =>
      el(
        'tr',
        {},
        cell(prefix, 'text'),
        ...(isCounted
          ? [cell(count(row.gets)), cell(share(row.hits, row.gets)), cell(count(row.sets))]
          : [cell(`≈ ${count(row.items)}`), cell(`≈ ${bytes(row.bytes)}`)]),
      ),
    ),
  )
  const refused = known.find(({ reason }) => reason !== undefined)
  setText(
    $('#prefixes-from'),
    refused
      ? `Not available: ${refused.reason}`
      : rows.length === 0
        ? ''
        : isCounted
          ? 'Counted by the server (stats detail).'
          : 'Estimated from a hundred keys of each slab class. Start the server with -D : to count them.',
  )
}
function drawConnections(servers) {
  const all = servers
    .flatMap(({ connections = [] }) => connections)
    .sort((a, b) => a.idleSeconds - b.idleSeconds)
    .slice(0, 50)
  fill(
    $('#connections'),
    all.map(({ address, state: does, idleSeconds }) =>
      el('tr', {}, cell(address, 'text'), cell(does), cell(duration(idleSeconds))),
    ),
  )
}
function drawShared(shared) {
  const tile = ({ name, value, unit = '' }) =>
    el(
      'div',
      {},
      el('dt', {}, name),
      el(
        'dd',
        {},
        unit === 'ms'
          ? ms(value)
          : unit === 'bytes'
            ? bytes(value)
            : unit === '%'
              ? `${value.toFixed(1)} %`
              : count(value),
      ),
    )
  $('#shared').replaceChildren(
    ...shared.map(({ title, figures }) =>
      el('section', { class: 'wide' }, el('h2', {}, title), el('dl', { class: 'tiles' }, ...figures.map(tile))),
    ),
  )
}

function drawServers(servers) {
  const box = $('#servers')
  box.hidden = servers.length < 2
  const names = ['', ...servers.map(({ name }) => name)]
  if (!names.includes(state.selected)) state.selected = ''
  if (box.dataset.names !== JSON.stringify(names)) {
    box.dataset.names = JSON.stringify(names)
    box.replaceChildren(
      box.firstElementChild,
      ...names.map((name) => {
        const input = el('input', { type: 'radio', name: 'server', value: name })
        input.checked = name === state.selected
        input.addEventListener('change', () => {
          state.selected = name
          draw()
        })
        return el('label', {}, input, name === '' ? 'All' : name)
      }),
    )
  }
  for (const [index, { up }] of servers.entries()) {
    const label = box.children[index + 2]
    label.classList.toggle('away', !up)
    label.lastChild.data = up ? servers[index].name : `${servers[index].name}, away`
  }
}
function drawState(servers) {
  const away = servers.filter(({ up }) => !up)
  const notice = $('#notice')
  const lost = !state.isConnected
  document.body.className = lost ? 'lost' : away.length > 0 ? 'partial' : 'live'
  let says = ''
  if (lost)
    says = 'The connection to this dashboard is lost. The figures are the last that came; it tries again by itself.'
  else if (away.length > 0)
    says = `${away.length === servers.length ? (servers.length === 1 ? 'The server does' : 'All servers do') : `${away.length} of ${servers.length} servers ${away.length === 1 ? 'does' : 'do'}`} not respond. ${away.map(({ name, fault }) => (fault?.includes(name) ? fault : `${name}: ${fault ?? 'no response'}`)).join('; ')}`
  setText(notice, says)
  notice.hidden = says === ''
  const up = servers.filter((server) => server.up)
  const one = servers.length === 1 ? servers[0] : undefined
  setText(
    $('#state-says'),
    lost
      ? 'Disconnected'
      : one
        ? one.up
          ? `${one.name}, version ${one.version}, up for ${duration(one.uptimeSeconds)}`
          : `${one.name} is away`
        : `${up.length} of ${servers.length} servers up`,
  )
}

function draw() {
  const { snapshot, selected } = state
  if (snapshot === undefined) return
  drawServers(snapshot.servers)
  drawState(snapshot.servers)
  const servers = snapshot.servers.filter(({ name }) => state.selected === '' || name === state.selected)
  const up = servers.filter(({ figures }) => figures !== undefined)
  const points = pointsOf(state.selected)
  if (up.length === 0) clearFigures()
  else if (state.selected === '') drawFigures(snapshot.total.figures, snapshot.total.rates, points)
  else drawFigures(up[0].figures, up[0].rates, points)
  for (const chart of charts) chart.draw(points)
  drawSlabs(up)
  drawPrefixes(up)
  drawConnections(up)
  drawShared(snapshot.shared)
  if (selected !== state.selected) draw()
}

let source
function connect() {
  source = new EventSource('events')
  source.addEventListener('hello', ({ data }) => {
    const { history, hasToken, isAuthorized } = JSON.parse(data)
    state.histories = new Map(Object.entries(history))
    Object.assign(state, { hasToken, isAuthorized, isConnected: true })
    showKeys()
    draw()
  })
  source.addEventListener('snapshot', ({ data }) => {
    const snapshot = JSON.parse(data)
    const isNew = snapshot.at !== state.snapshot?.at
    state.snapshot = snapshot
    for (const { name, rates, p50, p99 } of isNew ? snapshot.servers : []) {
      const history = state.histories.get(name) ?? []
      if (history.at(-1)?.at !== snapshot.at) history.push({ at: snapshot.at, rates, p50, p99 })
      state.histories.set(name, history.slice(-HISTORY))
    }
    for (const name of state.histories.keys())
      if (!snapshot.servers.some((server) => server.name === name)) state.histories.delete(name)
    draw()
  })
  source.addEventListener('error', () => {
    state.isConnected = false
    if (state.snapshot === undefined) setText($('#state-says'), 'Disconnected; trying again …')
    draw()
    // An answer that is no stream ends it for good: then it is up to us.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => void reconnect(), 3000)
  })
}
async function reconnect() {
  if (document.hidden || source.readyState !== EventSource.CLOSED) return
  const answer = await fetch('./', { method: 'HEAD', headers: { Accept: 'text/html' } }).catch(() => undefined)
  if (answer?.status === 401) location.reload()
  else connect()
}
// A page that nobody sees does not keep the server at work.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) source.close()
  else if (source.readyState === EventSource.CLOSED) connect()
})

async function send(path, body) {
  const answer = await fetch(path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'X-Memcache-TS-Dashboard': '1', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const result = await answer.json().catch(() => ({ error: `status ${answer.status}` }))
  if (answer.status === 401 && path !== 'login') {
    state.isAuthorized = false
    showKeys()
  }
  if (!answer.ok) throw new Error(result.error)
  return result
}
function tell(text) {
  setText($('#found'), text)
}
function showKeys() {
  $('#keys').hidden = !state.hasToken
  $('#unlock').hidden = state.isAuthorized
  $('#browser').hidden = !state.isAuthorized
}
function chosen() {
  const names = state.snapshot?.servers.map(({ name }) => name) ?? []
  return state.selected !== '' ? [state.selected] : names
}
$('#unlock').addEventListener('submit', async (event) => {
  event.preventDefault()
  const note = $('#unlock .note')
  try {
    await send('login', { token: $('#token').value })
    $('#token').value = ''
    state.isAuthorized = true
    showKeys()
    $('#contains').focus()
  } catch (error) {
    note.setAttribute('role', 'alert')
    setText(note, error.message)
  }
})
$('#lock').addEventListener('click', async () => {
  await send('logout', {}).catch(() => {})
  state.isAuthorized = false
  $('#browser tbody').replaceChildren()
  showKeys()
})
$('#find').addEventListener('submit', async (event) => {
  event.preventDefault()
  tell('Looking …')
  const contains = encodeURIComponent($('#contains').value)
  const rows = []
  const notes = []
  for (const server of chosen()) {
    try {
      const { keys, isComplete } = await send(`keys?server=${encodeURIComponent(server)}&contains=${contains}`)
      rows.push(...keys.map((key) => keyRow(server, key)))
      if (!isComplete) notes.push(`the first ${keys.length} of ${server}`)
    } catch (error) {
      notes.push(`${server}: ${error.message}`)
    }
  }
  $('#browser .scroll').hidden = rows.length === 0
  $('#browser tbody').replaceChildren(...rows)
  tell([`${rows.length} keys`, ...notes].join('; '))
})
function keyRow(server, { key, bytes: size, expiresAt }) {
  const button = el('button', { type: 'button', 'aria-label': `Delete ${key}` }, 'Delete')
  const row = el(
    'tr',
    {},
    cell(key, 'text'),
    cell(size > 0 ? bytes(size) : '–'),
    cell(expiresAt === undefined ? 'never' : `in ${duration(Math.max(0, expiresAt - Date.now() / 1000))}`),
    cell(button),
  )
  button.addEventListener('click', async () => {
    try {
      const { deleted } = await send('delete', { server, key })
      tell(deleted ? `Deleted ${key}` : `${key} was gone already`)
      row.remove()
    } catch (error) {
      tell(error.message)
    }
  })
  return row
}
let toFlush = []
$('#flush').addEventListener('click', () => {
  // Only the servers that the question names are flushed, also if others come meanwhile.
  toFlush = chosen()
  setText(
    $('#confirm-says'),
    `Forget all items of ${toFlush.join(', ')}? This cannot be undone, and every item will have to be loaded again.`,
  )
  $('#confirm').returnValue = 'no'
  $('#confirm').showModal()
})
$('#confirm').addEventListener('close', async () => {
  if ($('#confirm').returnValue !== 'yes') return
  for (const server of toFlush) {
    try {
      await send('flush', { server, confirm: server })
      tell(`Flushed ${server}`)
    } catch (error) {
      tell(`${server}: ${error.message}`)
    }
  }
  $('#browser tbody').replaceChildren()
})

connect()
