import type { CommandContext } from '../context.ts'
import { ExitStatus, printable } from '../terminal.ts'
import { tableText } from '../table.ts'

/** The forms of `stats` that change the server or list keys. */
const REFUSED = new Set(['reset', 'cachedump', 'detail'])

type Figures = Readonly<Record<string, string | number>>

export interface StatsOptions {
  form?: string | undefined
}

/** `memcache-ts stats`: prints the statistics of all servers side by side. */
export async function stats(context: CommandContext, { form }: StatsOptions): Promise<ExitStatus> {
  const { client, terminal, json } = context
  const servers = await context.reachable()
  const statistics = await context.onServers<ReadonlyMap<string, Figures>>(servers, (name) =>
    form === undefined ? client.stats(undefined, { server: name }) : client.stats(form, { server: name }),
  )
  const columns = statistics.map(({ name, result }) => ({ name, figures: result.get(name) ?? {} }))
  if (json) {
    terminal.json(Object.fromEntries(columns.map(({ name, figures }) => [name, figures])))
    return ExitStatus.ok
  }
  const names = [...new Set(columns.flatMap(({ figures }) => Object.keys(figures)))]
  if (names.length === 0) {
    terminal.note(`no statistics of this form${form === undefined ? '' : `: ${form}`}`)
    return ExitStatus.ok
  }
  const head = [{ title: 'statistic' }, ...columns.map(({ name }) => ({ title: name, align: 'right' as const }))]
  const rows = names.map((name) =>
    [name].concat(columns.map(({ figures }) => String(figures[name] ?? ''))).map(printable),
  )
  terminal.line(tableText(terminal, head, rows))
  return ExitStatus.ok
}

/** Returns whether a form of `stats` only reads. */
export function isReading(form: string): boolean {
  return !REFUSED.has(form.trim().split(' ')[0]!)
}
