import type { Ttl } from 'memcache-ts-protocol'
import { ttlToSeconds } from 'memcache-ts-protocol'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus } from '../terminal.ts'
import { durationText } from '../units.ts'

export interface SetOptions {
  ttl?: string | undefined
  valueJson?: boolean | undefined
}

/** `memcache-ts set`: stores text, or with `--value-json` a JSON value. `-` reads the value from the standard input. */
export async function set(
  context: CommandContext,
  { key, given }: { readonly key: string; readonly given: string },
  options: SetOptions,
): Promise<ExitStatus> {
  const text = given === '-' ? await readAll(context) : given
  const value = options.valueJson === true ? parseJson(text) : text
  const ttl = ttlOf(options.ttl)
  await context.client.set(key, value, ttl)
  if (context.json) context.terminal.json({ key, stored: true, server: context.client.serverOf(key) })
  else {
    const seconds = ttlToSeconds(ttl)
    const expiry = seconds === Infinity ? 'does not expire' : `expires in ${durationText(seconds)}`
    context.terminal.line(`stored on ${context.client.serverOf(key)}, ${expiry}`)
  }
  return ExitStatus.ok
}

/**
 * Checks a lifetime such as `60` or `5m`; without one, an item does not expire. It keeps its unit, because the client
 * refuses numbers over 30 days, which are often milliseconds.
 *
 * @throws MemcacheOptionError if it is not a lifetime.
 */
export function ttlOf(text: string | undefined): Ttl {
  if (text === undefined) return Infinity
  const ttl = (/^\d+$/.test(text) ? Number(text) : text) as Ttl
  ttlToSeconds(ttl, '--ttl')
  return ttl
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CommandError(`--value-json needs JSON: ${(error as Error).message}`)
  }
}

async function readAll({ terminal }: CommandContext): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of terminal.input) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks).toString('utf8')
}
