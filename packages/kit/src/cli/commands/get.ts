import { inspect, types } from 'node:util'
import { MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { MetaItem } from 'memcache-ts-client'
import type { CommandContext } from '../context.ts'
import { ExitStatus, printable } from '../terminal.ts'
import { ForeignValue } from '../connect.ts'
import { bytesText, durationText } from '../units.ts'

const METADATA = { noBump: true, access: true } as const

export interface GetOptions {
  meta?: boolean | undefined
}

/** `memcache-ts get`: prints values, and with `--meta` their metadata. It does not change an item's place in the LRU. */
export async function get(context: CommandContext, keys: readonly string[], { meta }: GetOptions): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const missed = await context.onKeys(keys, async (key) => {
    const item = meta === true ? await client.meta.get(key, METADATA) : await readValue(context, key)
    if (item === undefined) {
      terminal.note(`${key}: not found`)
      return false
    }
    if (json) {
      terminal.json({ key, value: jsonValue(item.value), ...('size' in item ? factsOf(context, key, item) : {}) })
    } else {
      if ('size' in item) writeFacts(context, key, item)
      writeValue(context, item)
    }
    return true
  })
  return missed === 0 ? ExitStatus.ok : ExitStatus.incomplete
}

/** Reads a value without its metadata, with `get` from servers and proxies without meta commands. */
async function readValue({ client }: CommandContext, key: string): Promise<{ value: unknown } | undefined> {
  try {
    const item = await client.meta.get(key, { noBump: true })
    return item === undefined ? undefined : { value: item.value }
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError)) throw error
    const value = await client.get(key)
    return value === undefined ? undefined : { value }
  }
}

function factsOf({ client }: CommandContext, key: string, item: MetaItem<unknown>): Record<string, unknown> {
  const { size, clientFlags, casUnique, ttlSeconds, lastAccessSeconds, hitBefore, stale, won, lost } = item
  const server = client.serverOf(key)
  return { size, clientFlags, casUnique, ttlSeconds, lastAccessSeconds, hitBefore, stale, leased: won || lost, server }
}

function writeFacts(context: CommandContext, key: string, item: MetaItem<unknown>): void {
  const { ttlSeconds, lastAccessSeconds, size, clientFlags } = item
  const expiry = ttlSeconds === Infinity ? 'does not expire' : `expires in ${durationText(ttlSeconds)}`
  const access = item.hitBefore === true ? `last read ${durationText(lastAccessSeconds ?? 0)} ago` : 'never read'
  const state = item.stale ? ', stale' : ''
  const text = `${key} on ${context.client.serverOf(key)}: ${bytesText(size)}, client flags ${clientFlags}, ${expiry}, ${access}${state}`
  context.terminal.note(text, 'dim')
}

function writeValue({ terminal }: CommandContext, { value }: { readonly value: unknown }): void {
  if (value instanceof ForeignValue || types.isUint8Array(value)) {
    const bytes = value instanceof ForeignValue ? value.bytes : Buffer.from(value)
    if (value instanceof ForeignValue) {
      terminal.note(`client flags ${value.clientFlags} belong to another client: these are the stored bytes`)
    }
    // On a terminal, the bytes could contain control sequences.
    if (terminal.output.isTTY === true) terminal.line(printable(bytes.toString('latin1')))
    else terminal.write(bytes)
  } else if (typeof value === 'string') {
    terminal.line(terminal.output.isTTY === true ? value.split('\n').map(printable).join('\n') : value)
  } else {
    terminal.line(
      inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null, colors: terminal.hasColours }),
    )
  }
}

function jsonValue(value: unknown): unknown {
  if (value instanceof ForeignValue) return { clientFlags: value.clientFlags, base64: value.bytes.toString('base64') }
  if (types.isUint8Array(value)) return { base64: Buffer.from(value).toString('base64') }
  return value
}
