import { MemcachedClient } from 'memcache-ts-client'
import type { HashStrategy } from 'memcache-ts-client'
import type { CommandContext } from '../context.ts'
import type { Examination, Examined, SampledKey } from './finding.ts'
import { watchFetches } from './watch-fetches.ts'

const PINGS = 11

export interface ExamineOptions {
  /** How many keys of each server are sampled. */
  readonly sample: number
  /** How long fetches are watched, in seconds; 0 disables it. */
  readonly watchSeconds: number
  readonly prefix: string
  readonly slowMs: number
  /** Whether all servers of the list respond. */
  readonly complete: boolean
}

/** Collects the data for the checks from all servers concurrently. It changes nothing on a server. */
export async function examine(
  context: CommandContext,
  names: readonly string[],
  options: ExamineOptions,
): Promise<Examination> {
  const outcomes = await Promise.allSettled(names.map((name) => examineServer(context, name, options)))
  const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failed = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [{ name: names[index]!, fault: outcome.reason as Error }] : [],
  )
  return {
    servers,
    failed,
    complete: options.complete && failed.length === 0,
    client: context.client,
    prefix: options.prefix,
    clientWith: (hash) => new MemcachedClient({ servers: context.servers, hash: hash as HashStrategy }),
  }
}

async function examineServer(context: CommandContext, name: string, options: ExamineOptions): Promise<Examined> {
  const { client } = context
  const latencies: number[] = []
  let version = ''
  for (let ping = 0; ping < PINGS; ping++) {
    const startedMs = performance.now()
    version = (await client.version({ server: name })).get(name) ?? ''
    latencies.push(performance.now() - startedMs)
  }
  const statistics = (await client.stats(undefined, { server: name })).get(name)!
  const nowSeconds = Date.now() / 1000
  const form = async (text: string) =>
    (await client.stats(text, { server: name }).catch(() => new Map())).get(name) ?? {}
  const [settings, items, sample, fetches] = await Promise.all([
    form('settings'),
    form('items'),
    sampleKeys(context, name, options.sample),
    options.watchSeconds > 0 ? watchFetches(context.servers, name, options.watchSeconds) : undefined,
  ])
  const latencyMs = latencies.toSorted((a, b) => a - b)[Math.floor(PINGS / 2)]!
  return { name, version, latencyMs, slowMs: options.slowMs, statistics, settings, items, nowSeconds, sample, fetches }
}

async function sampleKeys({ client }: CommandContext, name: string, limit: number): Promise<SampledKey[] | undefined> {
  const sample: SampledKey[] = []
  const stop = new AbortController()
  try {
    await client.metadump(
      ({ key, expiresAt }) => {
        if (sample.length < limit) sample.push({ key, expires: expiresAt !== Infinity })
        else stop.abort()
      },
      { server: name, signal: stop.signal },
    )
  } catch {
    return stop.signal.aborted ? sample : undefined
  }
  return sample
}
