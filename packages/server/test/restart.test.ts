import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { FakeClock, readLine, readUntil } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import type { MemcachedServerOptions } from '../src/options.ts'
import { Exchange } from './exchange.ts'

const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-restart-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

function newFile(): string {
  return join(folder, `items-${files++}`)
}

/** One life of a cache: what it logs, and what requests are answered. */
async function life(memoryFile: string, clock: FakeClock, requests: string, options: MemcachedServerOptions = {}) {
  const server = new MemcachedServer({ port: 0, clock, memoryFile, ...options })
  const log: string[] = []
  server.on('log', (line) => log.push(line))
  await server.listen()
  const exchange = new Exchange(server)
  let replies = await exchange.send(`${requests}mn\r\n`)
  while (!replies.endsWith('MN\r\n')) replies += await exchange.send('')
  return { server, log, replies: replies.slice(0, -'MN\r\n'.length) }
}

async function livesOn(requests: string, later: string, seconds = 0, options: MemcachedServerOptions = {}) {
  const clock = new FakeClock()
  const file = newFile()
  const { server } = await life(file, clock, requests, options)
  await server.close()
  clock.advanceSeconds(seconds)
  const second = await life(file, clock, later, options)
  await second.server.close()
  return second
}

describe('a restart with memoryFile', () => {
  it('brings items back as they were', async () => {
    const token = 'ms stale 1 T1000 E7\r\nx\r\nmd stale I\r\nmg stale v\r\n'
    const { replies, log } = await livesOn(
      `set a 5 100 3\r\nabc\r\nms YSBi 3 b T0 F4294967295 E18446744073709551615\r\n\r\n\0\r\nset e 0 0 0\r\n\r\n${token}`,
      'gets a\r\nmg a t\r\nmg YSBi b k v f c t\r\nget e\r\nmg stale v\r\nset new 0 0 1\r\nx\r\nmg new c\r\n',
      40,
    )
    expect(replies).toMatch(
      new RegExp(
        '^VALUE a 5 3 \\d+\\r\\nabc\\r\\nEND\\r\\nHD t60\\r\\n' +
          'VA 3 kYSBi b f4294967295 c18446744073709551615 t-1\\r\\n\\r\\n\\0\\r\\n' +
          'VALUE e 0 0\\r\\n\\r\\nEND\\r\\nVA 1 Z X\\r\\nx\\r\\nSTORED\\r\\nHD c\\d+\\r\\n$',
      ),
    )
    // Cas uniques continue after those that were used.
    const [, unique] = /VALUE a 5 3 (\d+)/.exec(replies)!
    expect(Number(/HD c(\d+)\r\n$/.exec(replies)![1])).toBeGreaterThan(Number(unique))
    expect(log).toEqual([])
  })

  it('brings back nothing that was deleted or flushed, or has expired meanwhile', async () => {
    const { replies } = await livesOn(
      'set deleted 0 0 1\r\nx\r\ndelete deleted\r\nset flushed 0 0 1\r\nx\r\nflush_all\r\nset soon 0 30 1\r\nx\r\n' +
        'set late 0 60 1\r\nx\r\nset past 0 -1 1\r\nx\r\nset replaced 0 0 1\r\nx\r\nset replaced 0 0 1\r\ny\r\n',
      'get deleted flushed soon late past replaced\r\n',
      30,
    )
    expect(replies).toBe('VALUE late 0 1\r\nx\r\nVALUE replaced 0 1\r\ny\r\nEND\r\n')
  })

  it('remembers a delayed flush, fired meanwhile or still to come', async () => {
    const requests = 'set a 0 0 1\r\nx\r\nflush_all 60\r\n'
    expect((await livesOn(requests, 'get a\r\n', 61)).replies).toBe('END\r\n')
    const clock = new FakeClock()
    const file = newFile()
    await (await life(file, clock, requests)).server.close()
    clock.advanceSeconds(30)
    const { server, replies } = await life(file, clock, 'get a\r\n')
    expect(replies).toBe('VALUE a 0 1\r\nx\r\nEND\r\n')
    clock.advanceSeconds(31)
    expect(await new Exchange(server).send('get a\r\n')).toBe('END\r\n')
    await server.close()
  })

  it('keeps values of every size and every byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ size: fc.oneof(fc.nat(300), fc.nat(1_500_000)), byte: fc.nat(255) }), {
          minLength: 1,
          maxLength: 12,
        }),
        async (values) => {
          const options = { itemMaxBytes: 2 * 1024 * 1024, memoryLimitMb: 64 }
          const sets = values.map(({ size, byte }, index) => {
            return `set k${index} 0 0 ${size}\r\n${String.fromCharCode(byte).repeat(size)}\r\n`
          })
          const gets = values.map((_, index) => `get k${index}\r\n`)
          const { replies } = await livesOn(sets.join(''), gets.join(''), 1, options)
          const expected = values.map(({ size, byte }, index) => {
            return `VALUE k${index} 0 ${size}\r\n${String.fromCharCode(byte).repeat(size)}\r\nEND\r\n`
          })
          expect(replies === expected.join('')).toBe(true)
        },
      ),
      { numRuns: 10 },
    )
  })

  it('keeps the order of the LRU, so that with less memory the last used stay', async () => {
    const clock = new FakeClock()
    const file = newFile()
    const value = 'x'.repeat(50_000)
    let sets = ''
    for (let index = 0; index < 100; index++) sets += `set k${index} 0 0 50000\r\n${value}\r\n`
    await (await life(file, clock, sets, { memoryLimitMb: 16 })).server.close()
    const { server } = await life(file, clock, '', { memoryLimitMb: 2 })
    const exchange = new Exchange(server)
    const found = []
    for (let index = 0; index < 100; index++) {
      if ((await exchange.send(`mg k${index}\r\n`)) === 'HD\r\n') found.push(index)
    }
    expect(found.length).toBeGreaterThan(20)
    expect(found).toEqual(Array.from({ length: found.length }, (_, index) => 100 - found.length + index))
    await server.close()
  })

  it('removes the file before it serves, so that a crash brings nothing old back', async () => {
    const clock = new FakeClock()
    const file = newFile()
    const first = await life(file, clock, 'set a 0 0 1\r\n1\r\n')
    expect(existsSync(file)).toBe(false)
    await first.server.close()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const second = await life(file, clock, 'get a\r\n')
    expect(second.replies).toBe('VALUE a 0 1\r\n1\r\nEND\r\n')
    expect(existsSync(file)).toBe(false)
    await second.server.close()
  })

  it('keeps the file when it cannot listen', async () => {
    const clock = new FakeClock()
    const file = newFile()
    await (await life(file, clock, 'set a 0 0 1\r\n1\r\n')).server.close()
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    await expect(new MemcachedServer({ port, memoryFile: file }).listen()).rejects.toThrow('the port is in use')
    other.close()
    const { server, replies } = await life(file, clock, 'get a\r\n')
    expect(replies).toBe('VALUE a 0 1\r\n1\r\nEND\r\n')
    await server.close()
  })

  it('refuses a file that was cut off or changed anywhere, with one line and an empty cache', async () => {
    const clock = new FakeClock()
    const file = newFile()
    let sets = ''
    for (let index = 0; index < 50; index++) sets += `set k${index} 0 0 20\r\n${'x'.repeat(20)}\r\n`
    await (await life(file, clock, sets)).server.close()
    const whole = readFileSync(file)
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.nat(whole.length - 1), async (isCut, at) => {
        writeFileSync(file, whole)
        if (isCut) truncateSync(file, at)
        else writeFileSync(file, whole.with(at, whole[at]! ^ 0xff))
        const { server, log, replies } = await life(file, clock, 'get k1 k49\r\nset a 0 0 1\r\n1\r\nget a\r\n')
        expect(log).toHaveLength(1)
        expect(log[0]).toMatch(/^cannot restore items from .*, so the cache starts empty: /)
        expect(replies).toBe('END\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n')
        expect(server.stats()['curr_items']).toBe(1)
        await server.close()
      }),
      { numRuns: 60 },
    )
  })

  it('does not change a file of another kind, and reports it when it would save', async () => {
    const file = newFile()
    writeFileSync(file, 'letters '.repeat(100))
    const { server, log, replies } = await life(file, new FakeClock(), 'set a 0 0 1\r\n1\r\nget a\r\n')
    expect(replies).toBe('STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n')
    await server.close()
    expect(log).toEqual([
      `cannot restore items from ${file}, so the cache starts empty: it is not a file of saved items`,
      `cannot save items to ${file}: the path has a file of another kind`,
    ])
    expect(readFileSync(file, 'utf8')).toBe('letters '.repeat(100))
  })

  it('does not start beside an empty .meta file of memcached, and does once it is gone', async () => {
    const file = newFile()
    await (await life(file, new FakeClock(), 'set a 0 0 1\r\n1\r\n')).server.close()
    writeFileSync(`${file}.meta`, '')
    await using server = new MemcachedServer({ port: 0, memoryFile: file })
    await expect(server.listen()).rejects.toThrow(`${file}.meta is empty`)
    rmSync(`${file}.meta`)
    await server.listen()
    expect(server.stats()['curr_items']).toBe(1)
  })

  it('does not start if the file could not be written at the end', async () => {
    const file = join(newFile(), 'items')
    await using server = new MemcachedServer({ port: 0, memoryFile: file })
    await expect(server.listen()).rejects.toThrow(`cannot keep items in ${file}: the folder`)
  })
})

describe('memcache-ts-server -e', () => {
  const CLI = fileURLToPath(new URL('../bin/memcache-ts-server.js', import.meta.url))
  const AS_ROOT = process.getuid?.() === 0 ? ['-u', 'root'] : []

  it.each([
    ['SIGUSR1', true],
    ['SIGTERM', false],
  ] as const)('saves on %s: %s', async (signal, isSaved) => {
    const file = newFile()
    const child = spawn(process.execPath, [CLI, '-p', '-1', '-e', file, ...AS_ROOT], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await readLine(child)
    const exited = once(child, 'exit')
    child.kill(signal)
    expect((await exited)[0]).toBe(0)
    expect(existsSync(file)).toBe(isSaved)
  })

  it('saves once, even after several signals', async () => {
    const file = newFile()
    const child = spawn(process.execPath, [CLI, '-p', '-1', '-e', file, ...AS_ROOT], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    const line = await readLine(child)
    const socket = connect(Number(/:(\d+)$/.exec(line)![1]), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`${Array.from({ length: 2000 }, (_, index) => `set k${index} 0 0 1 noreply\r\n1\r\n`).join('')}mn\r\n`)
    await readUntil(socket, 'MN\r\n')
    for (let signals = 0; signals < 20; signals++) {
      child.kill('SIGUSR1')
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await exited).toEqual([0, null])
    await using server = new MemcachedServer({ port: 0, memoryFile: file })
    await server.listen()
    expect(server.stats()['curr_items']).toBe(2000)
  })
})
