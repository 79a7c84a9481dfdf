import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Ttl } from 'memcache-ts-protocol'
import { ttlToSeconds } from 'memcache-ts-protocol'
import { ProgressBar } from '../../declare/warm/progress-bar.ts'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus } from '../exit-status.ts'
import { ttlSecondsOf } from './set.ts'

export interface WarmFileOptions {
  ttl?: string | undefined
  concurrency: number
  onlyMissing?: boolean | undefined
}

interface WarmLine {
  readonly key: string
  readonly value: unknown
  readonly ttlSeconds: number
}

/** How many errors are shown individually. */
const SHOWN_FAULTS = 5

/**
 * `memcache-ts warm`: stores the items of a file, one JSON object per line: `{"key": "city:1", "value": {…}, "ttl":
 * "1h"}`. Lines that cannot be read or stored are counted, and the first of them shown; the others are stored.
 */
export async function warmFile(context: CommandContext, path: string, options: WarmFileOptions): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const defaultSeconds = ttlSecondsOf(options.ttl)
  await context.reachable()
  const { input, bytes } = await open(context, path)
  // The progress is counted in bytes, since the number of lines is not known.
  const progress = new ProgressBar(
    'warming, kB',
    bytes === undefined ? undefined : Math.ceil(bytes / 1024),
    terminal.errors,
  )
  const outcome = { stored: 0, skipped: 0, failed: 0 }
  let readBytes = 0
  let lineNumber = 0
  const running = new Set<Promise<void>>()

  const fail = (line: number, error: unknown): void => {
    if (++outcome.failed > SHOWN_FAULTS) return
    // Over the progress bar.
    if (terminal.errors.isTTY === true) terminal.errors.write('\r\u001b[K')
    terminal.note(`line ${line}: ${(error as Error).message}`)
  }
  const store = async (number: number, { key, value, ttlSeconds }: WarmLine): Promise<void> => {
    try {
      if (options.onlyMissing === true) {
        if (await client.add(key, value, ttlSeconds)) outcome.stored++
        else outcome.skipped++
      } else {
        await client.set(key, value, ttlSeconds)
        outcome.stored++
      }
    } catch (error) {
      fail(number, error)
    }
  }
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    lineNumber++
    readBytes += Buffer.byteLength(line) + 1
    if (line.trim() === '') continue
    let item: WarmLine
    try {
      item = parseLine(line, defaultSeconds)
    } catch (error) {
      fail(lineNumber, error)
      continue
    }
    const task: Promise<void> = store(lineNumber, item).finally(() => running.delete(task))
    running.add(task)
    if (running.size >= options.concurrency) await Promise.race(running)
    progress.update(Math.floor(readBytes / 1024))
  }
  await Promise.all(running)
  const { stored, skipped, failed } = outcome
  progress.finish(Math.ceil(readBytes / 1024), `stored ${stored}, skipped ${skipped}, failed ${failed}`)
  if (json) terminal.json(outcome)
  return failed === 0 ? ExitStatus.ok : ExitStatus.incomplete
}

async function open(
  { terminal }: CommandContext,
  path: string,
): Promise<{ input: Readable; bytes: number | undefined }> {
  if (path === '-') return { input: terminal.input, bytes: undefined }
  try {
    const { size } = await stat(path)
    return { input: createReadStream(path), bytes: size }
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`)
  }
}

/** @throws CommandError if the line is invalid. */
function parseLine(line: string, defaultSeconds: number): WarmLine {
  let item: unknown
  try {
    item = JSON.parse(line)
  } catch (error) {
    throw new CommandError(`not JSON: ${(error as Error).message}`)
  }
  const wanted = 'a line is {"key": "…", "value": …, "ttl": "1h"}'
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw new CommandError(wanted)
  const { key, value, ttl, ...others } = item as { key?: unknown; value?: unknown; ttl?: unknown }
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new CommandError(`'${unknown}' is not a known field: ${wanted}`)
  if (typeof key !== 'string' || value === undefined) throw new CommandError(wanted)
  return { key, value, ttlSeconds: ttl === undefined ? defaultSeconds : ttlToSeconds(ttl as Ttl, 'ttl') }
}
