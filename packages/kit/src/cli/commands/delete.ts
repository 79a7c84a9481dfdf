import type { CommandContext } from '../context.ts'
import { ExitStatus } from '../exit-status.ts'
import { printable } from '../terminal.ts'

/** `memcache-ts delete`: deletes keys, and prints which of them existed. */
export async function deleteKeys(
  { client, json, terminal }: CommandContext,
  keys: readonly string[],
): Promise<ExitStatus> {
  let missed = 0
  for (const key of keys) {
    const deleted = await client.delete(key)
    if (!deleted) missed++
    if (json) terminal.json({ key, deleted })
    else terminal.line(`${printable(key)}: ${deleted ? 'deleted' : 'not found'}`)
  }
  return missed === 0 ? ExitStatus.ok : ExitStatus.incomplete
}
