import { until } from 'memcache-ts-testing'
import { describe, expect, it, vi } from 'vitest'
import { defineCache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { HotKeys } from '../src/declare/warm/hot-keys.ts'
import { ProgressBar } from '../src/declare/warm/warm.ts'
import { testMemcache } from '../src/testing/index.ts'
import { openCache } from './open-cache.ts'

const ids = Array.from({ length: 250 }, (_, index) => index)

describe('warming', () => {
  it('prints the error of the first failed value on the progress line', async () => {
    await using test = await openCache()
    const load = async (id: number): Promise<number> => {
      if (id === 3) throw new Error('the database is closed')
      return id
    }
    const squares = defineCache({ name: 'square', cache: test.cache, load })
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    await squares.warm([1, 2, 3], { progress: true })
    const lines = write.mock.calls.map(([text]) => String(text))
    write.mockRestore()
    expect(lines.join('')).toContain('2 loaded, 0 already stored, 1 failed: the database is closed')
  })

  it('retries lookups that memcached did not respond to, before they count as failed', async () => {
    await using test = await testMemcache({ timeoutMs: 50 })
    const squares = defineCache({ name: 'square', cache: test.cache, load: async (id: number) => id * id })
    await squares.set(0, 0)
    await test.server.pause()
    const warming = squares.warm([1, 2, 3])
    await until(() => test.cache.stats().cacheErrors > 0)
    await test.server.resume()
    expect(await warming).toEqual({ loaded: 3, skipped: 0, failed: 0 })
  })

  it('waits once for a memcached that is away, with any number of ids', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const squares = defineCache({ name: 'square', cache: test.cache, load: async (id: number) => id * id })
    await test.server.stop()
    const many = Array.from({ length: 2000 }, (_, id) => id)
    // With a pause for each id, this would take minutes.
    expect(await squares.warm(many, { concurrency: 100 })).toEqual({ loaded: 0, skipped: 0, failed: 2000 })
  })

  it('loads missing values in batches, each value once', async () => {
    await using test = await openCache()
    const batches: (readonly number[])[] = []
    const squares = defineCache({
      name: 'square',
      cache: test.cache,
      load: (id: number) => id * id,
      loadMany: (batch) => (batches.push(batch), batch.map((id) => id * id)),
    })
    await squares.set(7, 49)
    expect(await squares.warm(ids)).toEqual({ loaded: 249, skipped: 1, failed: 0 })
    expect(batches.flat().sort((a, b) => a - b)).toEqual(ids.filter((id) => id !== 7))
    expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(100)
    expect(await squares.get(12)).toBe(144)
    expect(await squares.warm(ids)).toEqual({ loaded: 0, skipped: 250, failed: 0 })
  })

  it('loads each key in one of several processes', async () => {
    await using test = await openCache()
    const loaded: number[] = []
    const other = test.another()
    const define = (cache: typeof other) =>
      defineCache({
        name: 'n',
        cache,
        load: (id: number) => (loaded.push(id), id),
        loadMany: (b) => (loaded.push(...b), b),
      })
    const reports = await Promise.all([define(test.cache).warm(ids), define(other).warm(ids)])
    expect(loaded.sort((a, b) => a - b)).toEqual(ids)
    expect(reports[0]!.loaded + reports[1]!.loaded).toBe(250)
    expect(reports[0]!.skipped + reports[1]!.skipped).toBe(250)
  })

  it('accepts an async source and a Map from loadMany, and loads one by one without loadMany', async () => {
    await using test = await openCache()
    async function* source() {
      yield* ['a', 'b', 'c']
    }
    const words = defineCache({ name: 'w', cache: test.cache, load: (word: string) => word.toUpperCase() })
    expect(await words.warm(source())).toEqual({ loaded: 3, skipped: 0, failed: 0 })
    const mapped = defineCache({
      name: 'm',
      cache: test.cache,
      load: (id: number) => `${id}`,
      loadMany: async (batch) => new Map(batch.filter((id) => id !== 2).map((id) => [id, `${id}`])),
    })
    expect(await mapped.warm([1, 2, 3])).toEqual({ loaded: 2, skipped: 0, failed: 1 })
    expect(await mapped.getOrSet(2)).toBe('2')
  })

  it('counts values that could not be loaded, and releases their leases', async () => {
    await using test = await openCache()
    const broken = defineCache({
      name: 'b',
      cache: test.cache,
      load: () => 'loaded later',
      loadMany: (_: readonly number[]): string[] => {
        throw new Error('no database')
      },
    })
    expect(await broken.warm([1, 2])).toEqual({ loaded: 0, skipped: 0, failed: 2 })
    expect(await broken.getOrSet(1)).toBe('loaded later')
  })

  it('stops by a signal', async () => {
    await using test = await openCache()
    const numbers = defineCache({ name: 'n', cache: test.cache, load: (id: number) => id })
    const controller = new AbortController()
    const onProgress = () => controller.abort(new Error('enough'))
    const warming = numbers.warm(ids, { signal: controller.signal, onProgress, concurrency: 1 })
    await expect(warming).rejects.toThrow('enough')
    expect(await numbers.get(200)).toBeUndefined()
  })
})

describe('warming again and longer', () => {
  it('continues after a stop', async () => {
    await using test = await openCache()
    const loaded: number[] = []
    const numbers = defineCache({ name: 'n', cache: test.cache, load: (id: number) => (loaded.push(id), id) })
    const controller = new AbortController()
    const onProgress = ({ loaded: done }: { loaded: number }) => done === 100 && controller.abort(new Error('enough'))
    const stopped = numbers.warm(ids, { signal: controller.signal, onProgress, concurrency: 1 })
    await expect(stopped).rejects.toThrow('enough')
    const before = loaded.length
    const report = await numbers.warm(ids)
    expect(report).toEqual({ loaded: ids.length - before, skipped: before, failed: 0 })
    expect(loaded.toSorted((a, b) => a - b)).toEqual(ids)
  })

  it('spreads the expiry of values that are stored together: at most 3 % of the keys in one second', async () => {
    await using test = await openCache({ timeoutMs: 20_000 })
    const many = Array.from({ length: 2000 }, (_, id) => id)
    const loadMany = (missing: readonly number[]) => [...missing]
    const numbers = defineCache({ name: 'n', cache: test.cache, load: (id: number) => id, loadMany })
    for (const ttlSeconds of [60, '1h'] as const) {
      await numbers.clear()
      await numbers.warm(many, { ttlSeconds })
      const perSecond = new Map<number, number>()
      for (const id of many) {
        const { ttlSeconds: left } = (await test.cache.client.meta.get(`n:${id}`))!
        perSecond.set(left, (perSecond.get(left) ?? 0) + 1)
      }
      expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(60)
      expect(Math.max(...perSecond.keys())).toBeLessThanOrEqual(ttlSeconds === 60 ? 66 : 3960)
    }
  })

  it('warms the keys that were requested most before', async () => {
    await using test = await openCache({ asDefault: true })
    const declare = (cache: Memcache) => defineCache({ name: 'n', cache, hotKeys: 3, load: (id: number) => id })
    const [first, second] = [test.another(), test.another()]
    const ask = async (cache: Memcache, times: Record<number, number>) => {
      const numbers = declare(cache)
      for (const [id, count] of Object.entries(times)) {
        for (let call = 0; call < count; call++) await numbers.getOrSet(Number(id))
      }
      return numbers
    }
    await ask(first, { 1: 10, 2: 4, 3: 1, 4: 1, 5: 1 })
    expect(await (await ask(second, { 2: 9, 6: 7 })).hotKeys()).toEqual([2, 6])
    await first.close()
    await second.close()
    const numbers = declare(test.cache)
    // A stored count is halved when the next process stores its own.
    expect(await numbers.hotKeys()).toEqual([2, 6, 1])
    await numbers.clear()
    expect(await numbers.warm(await numbers.hotKeys())).toEqual({ loaded: 3, skipped: 0, failed: 0 })
    expect(() => defineCache({ name: 'n', hotKeys: 1.5, load: (id: number) => id })).toThrow('hotKeys must be a whole')
  })

  it('counts in bounded memory', async () => {
    await using test = await openCache()
    const hot = new HotKeys<number>('n', { maxIds: 10, cache: () => test.cache, keyOf: (id) => [id] })
    for (let round = 0; round < 2000; round++) {
      hot.record(round % 5)
      hot.record(1000 + round)
    }
    expect((await hot.read()).slice(0, 5).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4])
    expect(await hot.read()).toHaveLength(10)
  })

  it('distinguishes the ids whose keys differ, of every type, also after they were stored', async () => {
    await using test = await openCache()
    const pairs: readonly (readonly [unknown, unknown])[] = [
      [1n, 2n],
      [new Map([[1, 1]]), new Map([[2, 2]])],
      [new Set([1]), new Set([2])],
      [undefined, null],
      [Number.NaN, Infinity],
      [new URL('http://a/'), new URL('http://b/')],
      [{ id: 1n }, { id: 2n }],
      [new Date(1), new Date(2)],
    ]
    const declare = (cache: Memcache, name: string) =>
      defineCache({ name, cache, hotKeys: 3, load: async (_id: unknown) => 'value' })
    for (const [index, [first, second]] of pairs.entries()) {
      const cache = test.another()
      const values = declare(cache, `ids ${index}`)
      for (const id of [first, second, structuredCloneOf(second)]) await values.getOrSet(id)
      expect(await values.hotKeys()).toEqual([second, first])
      await cache.close()
      expect(await declare(test.cache, `ids ${index}`).hotKeys()).toEqual([second, first])
    }
  })

  it('ignores a value that another program has stored, and skips an id that cannot be stored', async () => {
    await using test = await openCache()
    const values = defineCache({
      name: 'hot',
      cache: test.cache,
      hotKeys: 3,
      key: () => 'key',
      load: async (_id: unknown) => 'value',
    })
    await values.getOrSet(() => 1)
    await values.getOrSet({ format: () => 1 })
    for (const stored of ['text', 5, {}, [1], [[1]], [['a', 'b']], [null], [[1, Number.NaN]], [[1, -1]]]) {
      await test.cache.client.set('~hot:hot', stored)
      expect(await values.hotKeys()).toHaveLength(1)
    }
    await test.cache.close()
  })
})

/** Returns another object with the same content. */
function structuredCloneOf(value: unknown): unknown {
  return value instanceof URL ? new URL(value) : structuredClone(value)
}

describe('stopping', () => {
  it.each(['a source that is stuck', 'a loader that is stuck'])(
    'ends at once, whatever is under way: %s',
    async (kind) => {
      await using test = await openCache()
      const controller = new AbortController()
      const isSource = kind === 'a source that is stuck'
      let loaderSignal: AbortSignal | undefined
      const values = defineCache({
        name: 'stuck',
        cache: test.cache,
        load: async (id: number, { signal }) => {
          if (isSource) return id
          loaderSignal = signal
          controller.abort(new Error('enough'))
          return new Promise<number>(() => {})
        },
      })
      async function* source(): AsyncGenerator<number> {
        yield 1
        if (!isSource) return
        controller.abort(new Error('enough'))
        await new Promise(() => {})
      }
      await expect(values.warm(source(), { signal: controller.signal })).rejects.toThrow('enough')
      if (isSource) return
      expect(loaderSignal?.aborted).toBe(true)
      // The lease is given back.
      expect(await values.getMany([1])).toEqual(new Map())
      const again = defineCache({ name: 'stuck', cache: test.cache, load: async () => 'loaded' })
      expect(await again.getOrSet(1)).toBe('loaded')
    },
  )

  it('closes the source', async () => {
    await using test = await openCache()
    const values = defineCache({ name: 'closed', cache: test.cache, load: async (id: number) => id })
    const controller = new AbortController()
    let isClosed = false
    async function* cursor(): AsyncGenerator<number> {
      try {
        for (let id = 0; ; id++) {
          if (id === 20) controller.abort(new Error('enough'))
          yield id
        }
      } finally {
        isClosed = true
      }
    }
    await expect(values.warm(cursor(), { signal: controller.signal, concurrency: 2 })).rejects.toThrow('enough')
    await expect.poll(() => isClosed).toBe(true)
  })
})

describe('ProgressBar', () => {
  it('draws on a terminal, and writes one line elsewhere', () => {
    const drawn: string[] = []
    const terminal = new ProgressBar('warming', 4, { isTTY: true, write: (text) => drawn.push(text) })
    terminal.update(2)
    terminal.finish(4, '(done)')
    expect(drawn[0]).toContain('████████████░░░░░░░░░░░░ 2/4')
    expect(drawn.at(-1)).toMatch(/4\/4 \(done\).*\n$/s)
    const lines: string[] = []
    const file = new ProgressBar('warming', undefined, { write: (text) => lines.push(text) })
    file.update(2)
    file.finish(4, '(done)')
    expect(lines).toEqual(['warming 4 (done)\n'])
  })
})
