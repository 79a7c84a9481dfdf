import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus, printable } from '../terminal.ts'
import { countText } from '../units.ts'

/** `memcache-ts delete`: deletes keys, and prints which of them existed. */
export async function deleteKeys(context: CommandContext, keys: readonly string[]): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const missed = await context.onKeys(keys, async (key) => {
    const deleted = await client.delete(key)
    if (json) terminal.json({ key, deleted })
    else terminal.line(`${printable(key)}: ${deleted ? 'deleted' : 'not found'}`)
    return deleted
  })
  return missed === 0 ? ExitStatus.ok : ExitStatus.incomplete
}

export interface FlushOptions {
  yes?: boolean | undefined
}

/** `memcache-ts flush`: invalidates everything on all servers of the list, after a confirmation. */
export async function flush(context: CommandContext, { yes }: FlushOptions): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const servers = await context.reachable()
  if (yes !== true) {
    const items = await Promise.all(
      servers.map(async ({ name }) => (await client.stats(undefined, { server: name })).get(name)),
    )
    const lines = servers.map(({ name }, index) => `  ${name}: ${countText(items[index]?.curr_items ?? 0)} items`)
    terminal.note(`This invalidates everything on\n${lines.join('\n')}\nSessions and rate limits are lost too.`)
    const typed = await terminal.prompt('Type flush to continue: ')
    if (typed === undefined) throw new CommandError('flush needs a confirmation on a terminal: without one, use --yes')
    if (typed.trim() !== 'flush') {
      terminal.note('nothing was changed')
      return ExitStatus.incomplete
    }
  }
  const flushed = await context.onServers(servers, (name) => client.flushAll(undefined, { server: name }))
  if (json) terminal.json({ flushed: flushed.map(({ name }) => name) })
  else for (const { name } of flushed) terminal.line(`${name}: flushed`)
  return ExitStatus.ok
}
