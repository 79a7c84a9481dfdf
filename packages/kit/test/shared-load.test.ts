import { describe, expect, it } from 'vitest'
import { engineOf, resolveLoading } from '../src/engine/engine.ts'
import type { Freshness, LedLoad } from '../src/engine/engine.ts'
import type { Memcache } from '../src/index.ts'
import { openCache } from './open-cache.ts'

const loading = resolveLoading({ jitter: 0, l1: false }, 60)

function share(
  cache: Memcache,
  name: string,
  freshnessOf: (value: unknown) => Freshness = () => 'fresh',
  waits = true,
) {
  return engineOf(cache).share({
    name,
    required: [],
    tagKeys: [],
    staleSeconds: 0,
    l1: false,
    loading,
    signal: undefined,
    waits,
    freshnessOf,
    reload: () => Promise.resolve('reloaded'),
  })
}

async function ledBy(cache: Memcache, name: string, freshnessOf?: (value: unknown) => Freshness): Promise<LedLoad> {
  const answer = await share(cache, name, freshnessOf)
  if (answer.kind !== 'lead') throw new Error(`not the leader: ${answer.kind}`)
  return answer.load
}

describe('a load that its caller carries out', () => {
  it('is led by one caller, joined by another, and then a hit', async () => {
    await using test = await openCache()
    const { cache } = test
    const load = await ledBy(cache, 'k')
    const other = share(cache, 'k')
    load.end(Promise.resolve('value'))
    expect(await other).toEqual({ kind: 'joined', value: 'value', unusable: undefined })
    expect(await share(cache, 'k')).toEqual({ kind: 'hit', value: 'value' })
  })

  it('returns the old value that a caller cannot use, and gives the new value to the other callers', async () => {
    await using test = await openCache()
    const { cache } = test
    await cache.set('k', 'old')
    const cannotUseOld = (value: unknown): Freshness => (value === 'old' ? 'unusable' : 'fresh')
    const load = await ledBy(cache, 'k', cannotUseOld)
    expect(load.context.stale).toBe('old')
    const other = share(cache, 'k', cannotUseOld)
    load.end(Promise.resolve('new'))
    expect(await other).toMatchObject({ kind: 'joined', value: 'new' })
    expect(await cache.get('k')).toBe('new')
  })

  it('that fails rejects the waiting callers, and the next caller leads immediately', async () => {
    await using test = await openCache()
    const { cache } = test
    const load = await ledBy(cache, 'k')
    const other = share(cache, 'k')
    const error = new Error('its own fault')
    load.end(Promise.reject(error))
    expect(await other).toEqual({ kind: 'failed', error, unusable: undefined })
    expect((await share(cache, 'k')).kind).toBe('lead')
  })

  it('stores nothing if its key was invalidated while it ran', async () => {
    await using test = await openCache()
    const { cache } = test
    const load = await ledBy(cache, 'k')
    await cache.delete('k')
    load.end(Promise.resolve('outdated'))
    const next = await ledBy(cache, 'k')
    expect(await cache.get('k')).toBeUndefined()
    next.end(Promise.resolve('current'))
    expect(await share(cache, 'k')).toMatchObject({ value: 'current' })
  })

  it('does not hold callers that do not wait', async () => {
    await using test = await openCache()
    const { cache } = test
    const load = await ledBy(cache, 'k')
    expect(await share(cache, 'k', undefined, false)).toEqual({ kind: 'joined', value: undefined, unusable: undefined })
    load.end(Promise.resolve('value'))
    expect(await share(cache, 'k')).toMatchObject({ value: 'value' })
  })
})
