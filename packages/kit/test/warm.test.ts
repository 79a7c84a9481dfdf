import { describe, expect, it } from 'vitest'
import { defineCache, memcache } from '../src/index.ts'
import { ProgressBar } from '../src/warming/progress-bar.ts'
import { openCache } from './open-cache.ts'

const ids = Array.from({ length: 250 }, (_, index) => index)

describe('warming', () => {
  it('loads in batches what is not there, once', async () => {
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

  it('takes an async source, a Map from loadMany, and loads one by one where there is no loadMany', async () => {
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

  it('counts what could not be loaded, and leaves no lease behind', async () => {
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
