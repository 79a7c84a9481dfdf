import { clearScreenDown, cursorTo } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus, printable } from '../terminal.ts'
import { number, ratesBetween } from '../server-figures.ts'
import type { ServerRates, ServerSample } from '../server-figures.ts'
import { tableText } from '../table.ts'
import { bytesText, countText, durationText, shareText } from '../units.ts'

export interface TopOptions {
  intervalSeconds: number
  count?: number | undefined
}

const ENTER_SCREEN = '\u001b[?1049h\u001b[?25l'
const LEAVE_SCREEN = '\u001b[?25h\u001b[?1049l'
const SPARKS = '▁▂▃▄▅▆▇█'
const HISTORY = 60
const CTRL_C = '\u0003'

/** The state of a watched server. */
interface Watched {
  readonly name: string
  sample?: ServerSample | undefined
  rates?: ServerRates | undefined
  fault?: string | undefined
}

/**
 * `memcache-ts top`: shows five figures of each server repeatedly: hit ratio, memory, evictions, network traffic,
 * connections. If the output is not a terminal, it prints `--count` tables, 1 by default.
 */
export async function top(context: CommandContext, { intervalSeconds, count }: TopOptions): Promise<ExitStatus> {
  const { terminal } = context
  const isScreen = terminal.isInteractive && !context.json
  const rounds = count ?? (isScreen ? Infinity : 1)
  const watched = (await context.ping()).map(({ name }): Watched => ({ name }))
  const history: number[] = []
  const stop = new AbortController()
  const keys = isScreen ? listenForKeys(context, stop) : undefined
  if (isScreen) terminal.write(ENTER_SCREEN)
  try {
    await sampleAll(context, watched)
    for (let round = 0; round < rounds && !stop.signal.aborted; round++) {
      if (isScreen && round === 0) draw(context, watched, { history, intervalSeconds })
      await delay(intervalSeconds * 1000, undefined, { signal: stop.signal }).catch(() => {})
      if (stop.signal.aborted) break
      if (keys?.paused === true) continue
      await sampleAll(context, watched)
      history.push(
        watched.reduce((sum, { rates }) => sum + (rates === undefined ? 0 : rates.gets + rates.sets + rates.others), 0),
      )
      if (history.length > HISTORY) history.shift()
      if (context.json) terminal.json(watched.map(jsonOf))
      else if (isScreen) draw(context, watched, { history, intervalSeconds })
      else terminal.line(linesOf(context, watched, history).join('\n'))
    }
  } finally {
    keys?.close()
    if (isScreen) terminal.write(LEAVE_SCREEN)
  }
  if (watched.every(({ fault }) => fault !== undefined)) {
    throw new CommandError(
      watched.map(({ name, fault }) => `${name} does not respond: ${fault}`).join('\n'),
      ExitStatus.unreachable,
    )
  }
  // A person who watches the screen has seen it; a script has not.
  return !isScreen && watched.some(({ fault }) => fault !== undefined) ? ExitStatus.incomplete : ExitStatus.ok
}

async function sampleAll({ client }: CommandContext, watched: readonly Watched[]): Promise<void> {
  await Promise.all(
    watched.map(async (server) => {
      try {
        const statistics = (await client.stats(undefined, { server: server.name })).get(server.name)!
        const sample = { atMs: performance.now(), statistics }
        server.rates = server.sample === undefined ? undefined : ratesBetween(server.sample, sample)
        server.sample = sample
        server.fault = undefined
      } catch (error) {
        server.fault = (error as Error).message
        server.rates = undefined
        server.sample = undefined
      }
    }),
  )
}

function linesOf({ terminal }: CommandContext, watched: readonly Watched[], history: readonly number[]): string[] {
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = [
    { title: 'server' },
    right('hit ratio'),
    right('gets/s'),
    right('sets/s'),
    right('evicted/s'),
    right('memory'),
    right('items'),
    right('in/s'),
    right('out/s'),
    right('conns'),
    right('up'),
  ]
  const rows = watched.map((server) => {
    if (server.fault !== undefined) return [terminal.styled('red', server.name), terminal.styled('red', 'away')]
    const { statistics } = server.sample!
    const { rates } = server
    const used = number(statistics, 'bytes')
    const limit = number(statistics, 'limit_maxbytes')
    const memory = `${bytesText(used)} / ${bytesText(limit)}`
    const evictions = rates?.evictions ?? 0
    return [
      server.name,
      hitRatio(rates, statistics),
      countText(Math.round(rates?.gets ?? 0)),
      countText(Math.round(rates?.sets ?? 0)),
      evictions > 0 ? terminal.styled('yellow', countText(Math.round(evictions))) : '0',
      memory,
      countText(number(statistics, 'curr_items')),
      bytesText(Math.round(rates?.bytesIn ?? 0)),
      bytesText(Math.round(rates?.bytesOut ?? 0)),
      countText(number(statistics, 'curr_connections')),
      durationText(number(statistics, 'uptime')),
    ]
  })
  const faults = watched
    .filter(({ fault }) => fault !== undefined)
    .map(({ name, fault }) => terminal.styled('red', `${name}: ${printable(fault!)}`))
  const total = history.at(-1) ?? 0
  const sparks = `${terminal.styled('bold', countText(Math.round(total)))} operations/s  ${terminal.styled('cyan', sparkline(history))}`
  return [tableText(terminal, columns, rows), ...faults, '', sparks]
}

function hitRatio(rates: ServerRates | undefined, statistics: ServerSample['statistics']): string {
  // Without traffic, the ratio since the server's start is shown.
  if (rates !== undefined && rates.lookups > 0) return shareText(rates.hits, rates.lookups)
  const hits = number(statistics, 'get_hits')
  return shareText(hits, hits + number(statistics, 'get_misses'))
}

function sparkline(values: readonly number[]): string {
  const most = Math.max(1, ...values)
  return values
    .map((value) => SPARKS[Math.min(SPARKS.length - 1, Math.floor((value / most) * SPARKS.length))]!)
    .join('')
}

function draw(
  context: CommandContext,
  watched: readonly Watched[],
  { history, intervalSeconds }: { readonly history: readonly number[]; readonly intervalSeconds: number },
): void {
  const { terminal } = context
  const title = `${terminal.styled('bold', 'memcache-ts top')}  ${new Date().toLocaleTimeString()}  every ${intervalSeconds} s  ${terminal.styled('dim', 'p pauses, q ends')}`
  const lines = [title, '', ...linesOf(context, watched, history).flatMap((block) => block.split('\n'))]
  cursorTo(terminal.output, 0, 0)
  // A line wider than the terminal would wrap, and push other lines out.
  for (const line of lines.slice(0, terminal.rows - 1)) terminal.write(`${cut(line, terminal.columns)}\u001b[K\n`)
  clearScreenDown(terminal.output)
}

/** Cuts a line, which may contain colour codes, to a number of columns. */
function cut(line: string, columns: number): string {
  let shown = 0
  let text = ''
  // eslint-disable-next-line no-control-regex
  for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
    if (part.startsWith('\u001b')) text += part
    else {
      text += part.slice(0, Math.max(0, columns - shown))
      shown += part.length
    }
  }
  return text
}

interface Keys {
  paused: boolean
  close(): void
}

function listenForKeys({ terminal }: CommandContext, stop: AbortController): Keys {
  const { input } = terminal
  const keys: Keys = {
    paused: false,
    close() {
      input.off('data', onData)
      input.setRawMode?.(false)
      input.pause()
      process.off('SIGTERM', end)
    },
  }
  const end = (): void => stop.abort()
  const onData = (chunk: Buffer): void => {
    const text = chunk.toString('latin1')
    if (text.includes('q') || text.includes(CTRL_C)) end()
    else if (text.includes('p')) keys.paused = !keys.paused
  }
  input.setRawMode?.(true)
  input.on('data', onData)
  input.resume()
  process.once('SIGTERM', end)
  return keys
}

function jsonOf({ name, sample, rates, fault }: Watched): unknown {
  if (fault !== undefined) return { server: name, up: false, fault }
  const { statistics } = sample!
  return {
    server: name,
    up: true,
    hits: number(statistics, 'get_hits'),
    misses: number(statistics, 'get_misses'),
    bytes: number(statistics, 'bytes'),
    limitBytes: number(statistics, 'limit_maxbytes'),
    items: number(statistics, 'curr_items'),
    evictions: number(statistics, 'evictions'),
    connections: number(statistics, 'curr_connections'),
    perSecond: rates ?? null,
  }
}
