import { debuglog, inspect } from 'node:util'
import { CACHE_EVENTS } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'

const debug = debuglog('memcache-ts')

const CLIENT_EVENTS = ['connect', 'disconnect', 'reconnecting', 'eject', 'rejoin', 'servers', 'discoveryError'] as const

/**
 * Writes the events of a cache and its client to standard error, one line per event, if `NODE_DEBUG` contains
 * `memcache-ts`. Otherwise it adds no listener and costs nothing.
 */
export function logForDebugging(cache: Memcache): void {
  if (!debug.enabled) return
  for (const event of CACHE_EVENTS) cache.on(event, (...details: unknown[]) => log(event, details))
  for (const event of CLIENT_EVENTS) cache.client.on(event, (...details: unknown[]) => log(event, details))
}

function log(event: string, details: readonly unknown[]): void {
  debug('%s %s', event, details.map(shown).join(' '))
}

function shown(detail: unknown): string {
  if (detail instanceof Error) return detail.message
  return typeof detail === 'string' ? detail : inspect(detail, { breakLength: Infinity })
}
