import type { DumpedItem } from 'memcache-ts-client'
import type { CommandContext } from '../context.ts'
import { ExitStatus, printable } from '../terminal.ts'
import { tableText } from '../table.ts'
import { bytesText, durationText } from '../units.ts'

export interface KeysOptions {
  startsWith?: string | undefined
  limit: number
  sort?: 'size' | 'expiry' | 'access' | undefined
}

/** How many items are collected beyond twice the limit before they are sorted, so that small limits sort rarely. */
const SORT_SLACK = 1000

const ORDERS = {
  size: (a: DumpedItem, b: DumpedItem) => b.size - a.size,
  expiry: (a: DumpedItem, b: DumpedItem) => a.expiresAt - b.expiresAt,
  access: (a: DumpedItem, b: DumpedItem) => b.accessedAt - a.accessedAt,
}

/** `memcache-ts keys`: lists the keys that the servers hold (`lru_crawler metadump`), prefix included. */
export async function keys(
  context: CommandContext,
  { startsWith = '', limit, sort }: KeysOptions,
): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const servers = await context.reachable()
  const items: DumpedItem[] = []
  let found = 0
  const stop = new AbortController()
  const visit = (item: DumpedItem): void => {
    if (!item.key.startsWith(startsWith)) return
    found++
    if (sort === undefined && items.length === limit) {
      // Without an order, any keys will do: the rest of the dump is not needed.
      stop.abort()
      return
    }
    items.push(item)
    if (sort !== undefined && items.length >= 2 * limit + SORT_SLACK) {
      items.sort(ORDERS[sort])
      items.length = limit
    }
  }
  await context.onServers(servers, (name) =>
    client.metadump(visit, { server: name, signal: stop.signal }).catch((error: unknown) => {
      if (!stop.signal.aborted) throw error
    }),
  )
  if (sort !== undefined) items.sort(ORDERS[sort])
  const shown = items.slice(0, limit)
  const now = Date.now() / 1000
  const row = ({ key, size, expiresAt, accessedAt, server }: DumpedItem) => ({
    key,
    size,
    ttlSeconds: expiresAt === Infinity ? null : Math.max(0, Math.round(expiresAt - now)),
    idleSeconds: Math.max(0, Math.round(now - accessedAt)),
    server,
  })
  if (json) {
    for (const item of shown) terminal.json(row(item))
    return ExitStatus.ok
  }
  const columns = [
    { title: 'key' },
    { title: 'size', align: 'right' as const },
    { title: 'expires in', align: 'right' as const },
    { title: 'idle', align: 'right' as const },
    { title: 'server' },
  ]
  const lines = shown.map(row).map(({ key, size, ttlSeconds, idleSeconds, server }) => {
    return [printable(key), bytesText(size), durationText(ttlSeconds ?? Infinity), durationText(idleSeconds), server]
  })
  if (lines.length > 0) terminal.line(tableText(terminal, columns, lines))
  const more = stop.signal.aborted || found > shown.length
  terminal.note(
    more ? `the first ${shown.length}; --limit shows more` : `${shown.length} ${shown.length === 1 ? 'key' : 'keys'}`,
  )
  return ExitStatus.ok
}
