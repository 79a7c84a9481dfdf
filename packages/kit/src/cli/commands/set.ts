import type { Ttl } from 'memcache-ts-protocol'
import { ttlToSeconds } from 'memcache-ts-protocol'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus } from '../exit-status.ts'
import { durationText } from '../units.ts'

export interface SetOptions {
  ttl?: string | undefined
  valueJson?: boolean | undefined
}

/** `memcache-ts set`: stores text, or with `--value-json` a JSON value. `-` reads the value from the standard input. */
export async function set(
  context: CommandContext,
  key: string,
  given: string,
  options: SetOptions,
): Promise<ExitStatus> {
  const text = given === '-' ? await readAll(context) : given
  const value = options.valueJson === true ? parseJson(text) : text
  const seconds = ttlSecondsOf(options.ttl)
  await context.client.set(key, value, seconds)
  if (context.json) context.terminal.json({ key, stored: true, server: context.client.serverOf(key) })
  else {
    const expiry = seconds === Infinity ? 'does not expire' : `expires in ${durationText(seconds)}`
    context.terminal.line(`stored on ${context.client.serverOf(key)}, ${expiry}`)
  }
  return ExitStatus.ok
}

/** Parses a lifetime such as `60` or `5m`; without one, an item does not expire. */
export function ttlSecondsOf(text: string | undefined): number {
  if (text === undefined) return Infinity
  return ttlToSeconds((/^\d+$/.test(text) ? Number(text) : text) as Ttl, '--ttl')
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
