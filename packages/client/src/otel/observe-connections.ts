import type { Attributes, Meter, ObservableResult } from '@opentelemetry/api'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { ConnectionReport } from '../connection/connection-contract.ts'
import type { MemcachedClient } from '../memcached-client.ts'

/** The attribute with the pool's name (OpenTelemetry's semantic conventions for database client metrics). */
const POOL = 'db.client.connection.pool.name'
const STATE = 'db.client.connection.state'

/**
 * Reports the connections of clients, read at each export: `db.client.connection.count` by state (`used` while a caller
 * waits on it, else `idle`), `db.client.connection.max`, and `db.client.connection.pending_requests`, the callers that
 * wait for a connection to open. A pool is one server's connections, and has its name.
 *
 * @returns a function that stops the reports.
 * @throws MemcacheOptionError if an element of `clients` is not a client.
 */
export function observeConnections(meter: Meter, clients: readonly MemcachedClient[]): () => void {
  for (const client of Array.isArray(clients) ? (clients as readonly MemcachedClient[]) : [undefined]) {
    if (typeof client?.connections !== 'function') {
      throw new MemcacheOptionError('clients must be a list of MemcachedClients: clients: [cache.client]')
    }
  }
  if (clients.length === 0) return () => {}
  const gauge = (name: string, description: string, read: (report: ConnectionReport) => [number, Attributes?]) => {
    const counter = meter.createObservableUpDownCounter(`db.client.connection.${name}`, {
      description,
      unit: name === 'pending_requests' ? '{request}' : '{connection}',
    })
    const observe = (result: ObservableResult): void => {
      const sums = new Map<string, { value: number; attributes: Attributes }>()
      for (const report of clients.flatMap((client) => client.connections())) {
        const [value, own] = read(report)
        const attributes = { [POOL]: report.server, ...own }
        const text = JSON.stringify(attributes)
        sums.set(text, { value: value + (sums.get(text)?.value ?? 0), attributes })
      }
      for (const { value, attributes } of sums.values()) result.observe(value, attributes)
    }
    counter.addCallback(observe)
    return () => counter.removeCallback(observe)
  }
  const ends = [
    gauge('count', 'The number of connections that are open, by state.', ({ state, waiting }) => [
      state === 'ready' ? 1 : 0,
      { [STATE]: waiting > 0 ? 'used' : 'idle' },
    ]),
    gauge('max', 'The maximum number of open connections allowed.', () => [1]),
    gauge('pending_requests', 'The number of requests that wait for a connection to open.', ({ state, waiting }) => [
      state === 'ready' ? 0 : waiting,
    ]),
  ]
  return () => {
    for (const end of ends) end()
  }
}
