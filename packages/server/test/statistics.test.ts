import { readFileSync } from 'node:fs'
import { FakeClock } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { Exchange } from './exchange.ts'

/** The recorded answers of memcached 1.6.45 to `stats`, `stats settings`, `stats slabs` and `stats items`. */
function recorded(file: string): string[][] {
  const text = readFileSync(new URL(`../../../conformance/transcripts/${file}`, import.meta.url), 'utf8')
  const forms: string[][] = [[]]
  for (const line of text.split(/\r?\n/)) {
    if (line === 'END') forms.push([])
    else if (line.startsWith('STAT ')) forms.at(-1)!.push(line)
  }
  return forms.filter((form) => form.length > 0)
}

const names = (lines: readonly string[]): string[] => lines.map((line) => line.split(' ')[1]!)

async function ask(exchange: Exchange, request: string): Promise<string[]> {
  const lines = (await exchange.send(`${request}\r\n`)).split('\r\n')
  expect(lines.slice(-2)).toEqual(['END', ''])
  return lines.slice(0, -2)
}

async function statsOf(exchange: Exchange, request = 'stats'): Promise<Record<string, string>> {
  const lines = await ask(exchange, request)
  return Object.fromEntries(lines.map((line) => [line.split(' ')[1], line.split(' ').slice(2).join(' ')]))
}

describe('stats', () => {
  const [general, settings, slabs, items] = recorded('stats.memcached-1.6.45.txt')

  it('has memcached’s 93 names in its order, and 84 without the threads of the LRU', async () => {
    await using server = new MemcachedServer()
    expect(names(await ask(new Exchange(server), 'stats'))).toEqual(names(general!))
    expect(general).toHaveLength(93)
    const [short] = recorded('stats-no-lru-threads.memcached-1.6.45.txt')
    expect(short).toHaveLength(84)
    const tuning = { lruCrawler: false, lruMaintainer: false, lruSegmented: false }
    await using without = new MemcachedServer({ tuning })
    expect(names(await ask(new Exchange(without), 'stats'))).toEqual(names(short!))
  })

  it('lists settings, slabs and items as memcached does', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    await exchange.send('set a 0 0 1\r\n1\r\n')
    const ours = await ask(exchange, 'stats settings')
    expect(names(ours)).toEqual(names(settings!))
    // What ours does otherwise, or the machine.
    const otherwise = new Set(['tcpport', 'num_threads', 'num_threads_per_udp', 'hash_algorithm'])
    const comparable = (lines: string[]): string[] => lines.filter((line) => !otherwise.has(line.split(' ')[1]!))
    expect(comparable(ours)).toEqual(comparable(settings!))
    const slabLines = await ask(exchange, 'stats slabs')
    expect(names(slabLines)).toEqual(names(slabs!))
    expect(slabLines).toContain('STAT 1:chunk_size 96')
    expect(slabLines).toContain('STAT 1:chunks_per_page 10922')
    expect(slabLines).toContain('STAT 1:free_chunks 10921')
    expect(slabLines).toContain('STAT total_malloced 1048576')
    const itemLines = await ask(exchange, 'stats items')
    expect(names(itemLines)).toEqual(names(items!))
    expect(itemLines).toContain('STAT items:1:mem_requested 61')
  })

  it('counts hits by class and by LRU segment', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    const large = 'x'.repeat(1000)
    await exchange.send(`set a 0 0 1\r\n1\r\nset b 0 0 1000\r\n${large}\r\nget a a b nope\r\nmg a\r\ndelete b\r\n`)
    await exchange.send(
      'incr a 1\r\ndecr a 1\r\ntouch a 0\r\ngat 0 a\r\nms c 1 E5\r\n1\r\ncas c 0 0 1 5\r\n2\r\ncas c 0 0 1 6\r\n2\r\n',
    )
    const slabs = await statsOf(exchange, 'stats slabs')
    expect(slabs).toMatchObject({
      '1:get_hits': '3',
      '1:incr_hits': '1',
      '1:decr_hits': '1',
      '1:touch_hits': '2',
      '1:cas_hits': '1',
      '1:cas_badval': '1',
      '1:cmd_set': '4',
      active_slabs: '2',
    })
    expect(Object.entries(slabs).find(([name]) => /^(?!1:).*:delete_hits$/.test(name))?.[1]).toBe('1')
    // On a busy machine the background may have moved them on from the segment where they began.
    const items = await statsOf(exchange, 'stats items')
    const inAll = (name: string) =>
      ['hot', 'warm', 'cold'].reduce((sum, segment) => sum + Number(items[`items:1:${name}_${segment}`]), 0)
    expect([inAll('hits_to'), inAll('number')]).toEqual([3, 2])
    const all = await statsOf(exchange)
    expect(all).toMatchObject({
      get_hits: '4',
      get_misses: '1',
      cmd_get: '5',
      cmd_touch: '2',
      cmd_set: '5',
      cas_misses: '0',
    })
    await exchange.send('stats reset\r\n')
    expect(await statsOf(exchange)).toMatchObject({ get_hits: '0', cmd_set: '0', total_items: '0', curr_items: '2' })
  })

  it('lists keys of the COLD LRU, items by size and connections', async () => {
    const clock = new FakeClock()
    const tuning = { lruMaintainer: false, lruSegmented: false, trackSizes: true }
    await using server = new MemcachedServer({ tuning, clock })
    const exchange = new Exchange(server)
    await exchange.send('set a 0 0 1\r\n1\r\nset b 0 100 2\r\n22\r\nms Yw== 1 b\r\n1\r\n')
    const expires = Math.floor(clock.nowMs() / 1000) + 100
    expect(await exchange.send('stats cachedump 1 0\r\n')).toBe(
      `ITEM b [2 b; ${expires} s]\r\nITEM a [1 b; 0 s]\r\nEND\r\n`,
    )
    expect(await exchange.send('stats cachedump 1 1\r\n')).toBe(`ITEM b [2 b; ${expires} s]\r\nEND\r\n`)
    expect(await ask(exchange, 'stats sizes')).toEqual(['STAT 64 3'])
    const other = new Exchange(server)
    await other.send('set half 0 0 10\r\n12')
    clock.advanceSeconds(7)
    const connections = await ask(exchange, 'stats conns')
    expect(connections).toContain('STAT 3:state conn_parse_cmd')
    expect(connections).toContain('STAT 3:secs_since_last_cmd 0')
    expect(connections).toContain('STAT 4:state conn_nread')
    expect(connections).toContain('STAT 4:secs_since_last_cmd 7')
  })

  it('refuses the commands that -F, -X and -W disable', async () => {
    await using server = new MemcachedServer({ disableFlushAll: true, disableDumping: true, disableWatch: true })
    const exchange = new Exchange(server)
    expect(await exchange.send('flush_all\r\n')).toBe('CLIENT_ERROR flush_all not allowed\r\n')
    expect(await exchange.send('stats detail dump\r\n')).toBe('CLIENT_ERROR stats detail not allowed\r\n')
    expect(await exchange.send('stats cachedump 1 1\r\n')).toBe('CLIENT_ERROR stats cachedump not allowed\r\n')
    expect(await exchange.send('lru_crawler metadump all\r\n')).toBe('ERROR metadump not allowed\r\n')
    expect(await exchange.send('lru_crawler mgdump all\r\n')).toBe('ERROR key dump not allowed\r\n')
    expect(await exchange.send('watch\r\n')).toBe('CLIENT_ERROR watch commands not allowed\r\n')
    expect((await statsOf(exchange))['cmd_flush']).toBe('1')
  })

  it('has cas uniques of 0 with -C', async () => {
    await using server = new MemcachedServer({ disableCas: true })
    const exchange = new Exchange(server)
    expect(await exchange.send('set a 0 0 1\r\n1\r\ngets a\r\n')).toBe('STORED\r\nVALUE a 0 1 0\r\n1\r\nEND\r\n')
  })
})
