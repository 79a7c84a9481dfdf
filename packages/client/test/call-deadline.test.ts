import { getEventListeners } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { CallOptions } from '../src/index.ts'
import { behindProxy } from './behind-proxy.ts'

/** Every way to wait for a server. */
const CALLS: Record<string, (client: MemcachedClient, options: CallOptions) => Promise<unknown>> = {
  get: (client, options) => client.get('k', options),
  'get of bytes': (client, options) => client.get(Buffer.from('k'), options),
  gets: (client, options) => client.gets('k', options),
  gat: (client, options) => client.gat('k', 60, options),
  gats: (client, options) => client.gats('k', 60, options),
  getMulti: (client, options) => client.getMulti(['k', 'l'], options),
  set: (client, options) => client.set('k', 1, 60, options),
  add: (client, options) => client.add('k', 1, 60, options),
  append: (client, options) => client.append('k', '1', options),
  cas: (client, options) => client.cas('k', 1, 1n, 60, options),
  touch: (client, options) => client.touch('k', 60, options),
  delete: (client, options) => client.delete('k', options),
  incr: (client, options) => client.incr('k', 1, options),
  flushAll: (client, options) => client.flushAll(0, options),
  version: (client, options) => client.version(options),
  stats: (client, options) => client.stats(undefined, options),
  metadump: (client, options) => client.metadump(() => {}, options),
  'meta.get': (client, options) => client.meta.get('k', options),
  'meta.set': (client, options) => client.meta.set('k', 1, options),
  'meta.delete': (client, options) => client.meta.delete('k', options),
  'meta.arithmetic': (client, options) => client.meta.arithmetic('k', options),
  'meta.debug': (client, options) => client.meta.debug('k', options),
  'meta.noop': (client, options) => client.meta.noop(options),
}

describe.each(Object.entries(CALLS))('the options of %s', (_, call) => {
  it('end it by a signal: before it starts, and while it waits', async () => {
    await using test = await behindProxy({ timeoutMs: 300 })
    const reason = new Error('enough')
    await expect(call(test.client, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await test.client.get('k')
    test.proxy.fault = { kind: 'silent' }
    const controller = new AbortController()
    const waiting = call(test.client, { signal: controller.signal })
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })

  it.each<[string, unknown, string]>([
    [
      'a time limit as text',
      { timeoutMs: '1000' },
      'timeoutMs must be a number of milliseconds greater than 0, got text',
    ],
    ['no time at all', { timeoutMs: 0 }, 'got 0'],
    ['a time limit that is no number', { timeoutMs: NaN }, 'got NaN'],
    ['an invalid signal', { signal: 5 }, 'signal must be an AbortSignal, got a number'],
    ['a controller for its signal', { signal: new AbortController() }, 'signal must be an AbortSignal'],
    ['a callback', () => {}, 'the options of a call must be an object, got a function'],
    ['null', null, 'the options of a call must be an object, got null'],
  ])('are refused when they are %s', async (__, options, message) => {
    await using client = new MemcachedClient('127.0.0.1:1')
    const refused = (async () => call(client, options as CallOptions))()
    await expect(refused).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
    await expect(refused).rejects.toThrow(message)
  })
})

describe('close() after calls have been aborted', () => {
  it.each(['before it', 'while it waits'])('waits for none of them: %s', async (when) => {
    // Their limits are longer than this test's.
    await using test = await behindProxy({ timeoutMs: 600_000 })
    await test.client.set('k', '1')
    test.proxy.fault = { kind: 'silent' }
    const controller = new AbortController()
    const { signal } = controller
    const calls = Object.values(CALLS).flatMap((call) => [call(test.client, { signal }), call(test.client, { signal })])
    await new Promise((resolve) => setImmediate(resolve))
    const close = () => test.client.close()
    const closed = when === 'before it' ? undefined : close()
    controller.abort(new Error('enough'))
    const ended = await Promise.allSettled(calls)
    expect(new Set(ended.map((outcome) => outcome.status === 'rejected' && outcome.reason.message))).toEqual(
      new Set(['enough']),
    )
    await (closed ?? close())
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it.each(Object.entries(CALLS))('waits for a %s that was not, until it has its response', async (_, call) => {
    await using test = await behindProxy({ timeoutMs: 600_000 })
    await test.client.set('k', '1')
    test.proxy.fault = { kind: 'hold' }
    const controller = new AbortController()
    const aborted = test.client.get('k', { signal: controller.signal })
    const kept = call(test.client, {}).then(
      () => 'answered',
      (error: { code?: string }) => error.code,
    )
    await new Promise((resolve) => setImmediate(resolve))
    const closed = test.client.close()
    controller.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    test.proxy.fault = { kind: 'none' }
    test.proxy.release()
    expect(await kept).not.toBe('ERR_MEMCACHE_CLOSED')
    await closed
  })
})

describe('one signal for thousands of calls', () => {
  it('has one listener while they wait, none afterwards, and ends all that wait', async () => {
    await using test = await behindProxy({ timeoutMs: 25_000 })
    const warned = vi.spyOn(process, 'emitWarning')
    const controller = new AbortController()
    const { signal } = controller
    const many = (): Promise<unknown>[] =>
      Array.from({ length: 1000 }, (_, index) => Object.values(CALLS)[index % 10]!(test.client, { signal }))
    const asked = many()
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await Promise.allSettled(asked)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)

    test.proxy.fault = { kind: 'silent' }
    const late = many()
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    controller.abort(new Error('enough'))
    const ended = await Promise.allSettled(late)
    expect(ended.every((outcome) => outcome.status === 'rejected' && outcome.reason.message === 'enough')).toBe(true)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(warned).not.toHaveBeenCalled()
  })
})
