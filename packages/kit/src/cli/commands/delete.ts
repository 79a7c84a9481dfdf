import type { CommandContext } from '../context.ts'
import { ExitStatus } from '../exit-status.ts'
import { printable } from '../terminal.ts'

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
