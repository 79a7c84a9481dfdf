import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { AlwaysOffSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { memcache } from 'memcache-ts'
import { instrumentMemcache } from 'memcache-ts/otel'
import { launchServer } from 'memcache-ts-testing'

export const description =
  'processor time of a getOrSet hit without telemetry, with spans that are sampled out, and with OpenTelemetry in full'

const ROUNDS = 9
const HITS = 20_000

/** Takes spans as a collector's exporter would, and sends them nowhere: what a network costs is the collector's matter. */
const exporter = {
  export: (spans, done) => done({ code: 0, spans: spans.length }),
  shutdown: () => Promise.resolve(),
  forceFlush: () => Promise.resolve(),
}

const tracerProvider = () => new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] })

const WAYS = {
  'no telemetry': () => () => {},
  'OpenTelemetry, sampled out': (cache) =>
    instrumentMemcache(cache, {
      tracerProvider: new BasicTracerProvider({ sampler: new AlwaysOffSampler() }),
      meterProvider: new MeterProvider(),
    }),
  'OpenTelemetry, every span': (cache) =>
    instrumentMemcache(cache, { tracerProvider: tracerProvider(), meterProvider: new MeterProvider() }),
}

export async function run({ save }) {
  const server = await launchServer()
  const cache = memcache({ servers: server.address, logger: false, timeoutMs: 60_000 })
  await cache.set('key', { name: 'Oslo', people: 709_000 }, 3600)
  const times = Object.fromEntries(Object.keys(WAYS).map((way) => [way, []]))
  for (let round = -1; round < ROUNDS; round++) {
    for (const [way, begin] of Object.entries(WAYS)) {
      const end = begin(cache)
      const microseconds = await microsecondsAHit(cache)
      end()
      // The first round warms up.
      if (round >= 0) times[way].push(microseconds)
    }
  }
  await cache.close()
  await server.kill()
  const rows = Object.entries(times).map(([way, list]) => [way, median(list)])
  const [[, base]] = rows
  const lines = rows.map(([way, time]) => `| ${way} | ${time.toFixed(1)} | ${(time / base).toFixed(2)} |`)
  const table = ['| | µs a hit | × without |', '| --- | --- | --- |', ...lines].join('\n')
  console.log(table)
  if (save) writeFileSync(new URL('../results/telemetry.md', import.meta.url), document(table))
}

async function microsecondsAHit(cache) {
  const load = () => {
    throw new Error('the key is stored')
  }
  const before = process.cpuUsage()
  for (let hit = 0; hit < HITS; hit++) await cache.getOrSet('key', load, 3600)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / HITS
}

function median(list) {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
}

function document(table) {
  return `# What telemetry costs

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

Processor time of the application's process for a \`getOrSet\` that is a hit in memcached, one at a time, over loopback; median of ${ROUNDS} rounds that
alternate in one process. A hit with every span makes two of them, one of the kit and one of the client; they
go to a batch processor whose exporter sends nothing, so that a collector's network is not in the figure.

    npm run bench -- telemetry --save

${table}

What it does not show: calls in parallel, where a hit costs less and spans the same, so that their share is larger; and a collector. The goal of 1.15
with every span is missed: starting and ending two spans and recording one duration take the JavaScript SDK about 5 µs by themselves.
`
}
