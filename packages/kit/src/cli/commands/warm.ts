import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Ttl } from 'memcache-ts-protocol'
import { ttlToSeconds } from 'memcache-ts-protocol'
import { ProgressBar } from '../../declare/warm/warm.ts'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus } from '../terminal.ts'
import { ttlOf } from './set.ts'

export interface WarmFileOptions {
  ttl?: string | undefined
  concurrency: number
  onlyMissing?: boolean | undefined
}

interface WarmLine {
  readonly key: string
  readonly value: unknown
  readonly ttl: Ttl
}

/** How many errors are shown individually. */
const SHOWN_FAULTS = 5
/** Editors on Windows write it before the first line. */
const BYTE_ORDER_MARK = '\uFEFF'

/**
 * `memcache-ts warm`: stores the items of a file, one JSON object per line: `{"key": "city:1", "value": {…}, "ttl":
 * "1h"}`. Lines that cannot be read or stored are counted, and the first of them shown; the others are stored.
 */
export async function warmFile(context: CommandContext, path: string, options: WarmFileOptions): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const defaultTtl = ttlOf(options.ttl)
  await context.reachable()
  const { input, bytes } = await openInput(context, path)
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
  const store = async (number: number, { key, value, ttl }: WarmLine): Promise<void> => {
    try {
      if (options.onlyMissing === true) {
        if (await client.add(key, value, ttl)) outcome.stored++
        else outcome.skipped++
      } else {
        await client.set(key, value, ttl)
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
      item = parseLine(lineNumber === 1 ? line.replace(BYTE_ORDER_MARK, '') : line, defaultTtl)
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

async function openInput(
  { terminal }: CommandContext,
  path: string,
): Promise<{ input: Readable; bytes: number | undefined }> {
  if (path === '-') return { input: terminal.input, bytes: undefined }
  try {
    const file = await open(path)
    const facts = await file.stat()
    if (facts.isDirectory()) {
      await file.close()
      throw new Error('it is a directory')
    }
    // A pipe, such as a shell's <(…), has no size.
    return { input: file.createReadStream(), bytes: facts.isFile() ? facts.size : undefined }
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`)
  }
}

/** @throws CommandError if the line is invalid. */
function parseLine(line: string, defaultTtl: Ttl): WarmLine {
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
  if (ttl !== undefined) ttlToSeconds(ttl as Ttl, 'ttl')
  return { key, value, ttl: (ttl as Ttl | undefined) ?? defaultTtl }
}
