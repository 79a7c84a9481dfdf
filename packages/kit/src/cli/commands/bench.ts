import { createHistogram } from 'node:perf_hooks'
import type { RecordableHistogram } from 'node:perf_hooks'
import { randomBytes } from 'node:crypto'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus } from '../terminal.ts'
import { tableText } from '../table.ts'
import { countText, latencyText, shareText } from '../units.ts'

export interface BenchOptions {
  seconds: number
  callers: number
  keys: number
  size: number
  writes: number
}

const PERCENTILES = [50, 90, 99, 99.9, 100] as const
const BUCKETS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, Infinity] as const
const BAR_COLUMNS = 40
/** How long the stored items live after the run, in seconds. */
const SLACK_SECONDS = 60
const NS_PER_MS = 1e6

/** The measurements of one command. */
interface Measured {
  readonly histogram: RecordableHistogram
  readonly buckets: number[]
  failed: number
}

/**
 * `memcache-ts bench`: runs a load test. The callers in this process each wait for a response before their next
 * request. It uses its own keys under `memcache-ts-bench:`, which expire by themselves.
 */
export async function bench(context: CommandContext, options: BenchOptions): Promise<ExitStatus> {
  const { client, json, terminal } = context
  const servers = await context.reachable()
  const { seconds, callers, keys, size, writes } = options
  const ttl = Math.ceil(seconds) + SLACK_SECONDS
  const value = randomBytes(Math.ceil(size / 2))
    .toString('hex')
    .slice(0, size)
  const prefix = `memcache-ts-bench:${randomBytes(6).toString('hex')}`
  const names = Array.from({ length: keys }, (_, index) => `${prefix}:${index}`)
  if (!json)
    terminal.note(`${servers.map(({ name }) => name).join(', ')}: storing ${countText(keys)} values of ${size} B`)
  await fill(context, names, { value, ttl })

  const reads = measured()
  const stores = measured()
  let hits = 0
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1000
  const caller = async (): Promise<void> => {
    for (let now = performance.now(); now < endMs;) {
      const key = names[Math.floor(Math.random() * keys)]!
      const isWrite = Math.random() * 100 < writes
      const of = isWrite ? stores : reads
      try {
        if (isWrite) await client.set(key, value, ttl)
        else if ((await client.get(key)) !== undefined) hits++
      } catch {
        of.failed++
      }
      const after = performance.now()
      record(of, after - now)
      now = after
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const elapsedSeconds = (performance.now() - startedMs) / 1000

  const count = reads.histogram.count + stores.histogram.count
  const failed = reads.failed + stores.failed
  if (json) {
    terminal.json({
      operationsPerSecond: Math.round(count / elapsedSeconds),
      operations: count,
      failed,
      hits,
      get: figuresOf(reads),
      set: figuresOf(stores),
    })
  } else {
    const titles = ['per second', ...PERCENTILES.map((percentile) => (percentile === 100 ? 'max' : `p${percentile}`))]
    const head = [{ title: '' }, ...titles.map((title) => ({ title, align: 'right' as const }))]
    const rows = [['get', reads] as const, ['set', stores] as const]
      .filter(([, { histogram }]) => histogram.count > 0)
      .map(([name, of]) => [name, countText(of.histogram.count / elapsedSeconds)].concat(latencyTexts(of)))
    terminal.line(tableText(terminal, head, rows))
    terminal.line()
    writeBuckets(
      context,
      reads.buckets.map((reading, index) => reading + stores.buckets[index]!),
      count,
    )
    terminal.line()
    terminal.line(
      `${countText(count)} operations by ${callers} callers in ${elapsedSeconds.toFixed(1)} s, ${shareText(hits, reads.histogram.count)} of gets hit, ${failed} failed`,
    )
  }
  return failed === 0 ? ExitStatus.ok : ExitStatus.incomplete
}

async function fill(
  { client }: CommandContext,
  names: readonly string[],
  { value, ttl }: { readonly value: string; readonly ttl: number },
): Promise<void> {
  const step = 1000
  for (let start = 0; start < names.length; start += step) {
    const stored = await Promise.allSettled(
      names.slice(start, start + step).map((name) => client.set(name, value, ttl)),
    )
    const fault = stored.find((result) => result.status === 'rejected')
    if (fault !== undefined)
      throw new CommandError(`the values cannot be stored: ${(fault.reason as Error).message}`, ExitStatus.unreachable)
  }
}

function measured(): Measured {
  return { histogram: createHistogram(), buckets: BUCKETS_MS.map(() => 0), failed: 0 }
}

function record(of: Measured, ms: number): void {
  of.histogram.record(Math.max(1, Math.round(ms * NS_PER_MS)))
  const bucket = BUCKETS_MS.findIndex((limit) => ms <= limit)
  of.buckets[bucket]!++
}

function figuresOf({ histogram, failed }: Measured): Record<string, number> {
  const latencies = PERCENTILES.map((percentile) => [
    percentile === 100 ? 'maxMs' : `p${percentile}Ms`,
    histogram.count === 0 ? 0 : histogram.percentile(percentile) / NS_PER_MS,
  ])
  return { operations: histogram.count, failed, ...(Object.fromEntries(latencies) as Record<string, number>) }
}

function latencyTexts({ histogram }: Measured): string[] {
  return PERCENTILES.map((percentile) => latencyText(histogram.percentile(percentile) / NS_PER_MS))
}

/** Prints the latencies of all operations as a bar per range. */
function writeBuckets({ terminal }: CommandContext, buckets: readonly number[], count: number): void {
  const most = Math.max(1, ...buckets)
  const first = buckets.findIndex((bucket) => bucket > 0)
  const last = buckets.findLastIndex((bucket) => bucket > 0)
  for (let index = first; index >= 0 && index <= last; index++) {
    const limit = BUCKETS_MS[index]!
    const label = limit === Infinity ? `> ${BUCKETS_MS[index - 1]} ms` : `≤ ${limit} ms`
    const bar = '█'.repeat(Math.round((buckets[index]! / most) * BAR_COLUMNS))
    terminal.line(
      `${label.padStart(10)}  ${terminal.styled('cyan', bar.padEnd(BAR_COLUMNS))} ${shareText(buckets[index]!, count).padStart(8)}`,
    )
  }
}
