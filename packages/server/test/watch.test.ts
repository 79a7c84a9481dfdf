import { once } from 'node:events'
import { connect } from 'node:net'
import { FakeClock, readUntil, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import type { MemcachedServerOptions } from '../src/options.ts'
import { Exchange } from './exchange.ts'

interface Watched extends AsyncDisposable {
  server: MemcachedServer
  client: Exchange
  /** Runs requests of a client; returns the lines that the watcher got for them. */
  lines: (requests: string) => Promise<string[]>
}

async function watch(streams: string, options: MemcachedServerOptions = {}): Promise<Watched> {
  const server = new MemcachedServer({ clock: new FakeClock(), ...options })
  const watcher = new Exchange(server)
  expect(await watcher.send(`watch ${streams}\r\n`)).toBe('OK\r\n')
  const client = new Exchange(server)
  await watcher.send('')
  const lines = async (requests: string): Promise<string[]> => {
    await client.send(requests)
    const received = await watcher.send('what a watcher sends is not looked at\r\n')
    return received.split('\n').slice(0, -1)
  }
  return { server, client, lines, [Symbol.asyncDispose]: () => server.close() }
}

describe('watch', () => {
  it('fetchers: reports every lookup, of all commands', async () => {
    await using watched = await watch('')
    const lines = await watched.lines(
      'set a 0 0 3\r\nabc\r\nget a b\r\nmg a\r\ntouch b 0\r\nincr b 1\r\nset old 0 -1 1\r\n1\r\nget old\r\n',
    )
    expect(lines).toEqual([
      'ts=1800000000.500000 gid=2 type=item_get key=a status=not_found clsid=0 cfd=4 size=0',
      'ts=1800000000.500000 gid=3 type=item_get key=a status=found clsid=1 cfd=4 size=3',
      'ts=1800000000.500000 gid=4 type=item_get key=b status=not_found clsid=0 cfd=4 size=0',
      'ts=1800000000.500000 gid=5 type=item_get key=a status=found clsid=1 cfd=4 size=3',
      'ts=1800000000.500000 gid=6 type=item_get key=b status=not_found clsid=0 cfd=4 size=0',
      'ts=1800000000.500000 gid=7 type=item_get key=b status=not_found clsid=0 cfd=4 size=0',
      'ts=1800000000.500000 gid=8 type=item_get key=old status=not_found clsid=0 cfd=4 size=0',
      'ts=1800000000.500000 gid=9 type=item_get key=old status=expired clsid=0 cfd=4 size=0',
    ])
  })

  it('mutations: reports the result of each store', async () => {
    await using watched = await watch('mutations')
    const lines = await watched.lines(
      'set a 0 100 3\r\nabc\r\nadd a 0 0 1\r\nx\r\nreplace b 0 0 1\r\nx\r\nappend a 0 0 2\r\nde\r\nprepend b 0 0 1\r\nx\r\n' +
        'cas b 0 0 1 5\r\nx\r\nms a 1 C99\r\nx\r\nma n N0 J5\r\nmd a x\r\nms YSBi 0 b\r\n\r\n' +
        `set big 0 0 2000000\r\n${'x'.repeat(2_000_000)}\r\n`,
    )
    expect(lines.map((line) => line.replace(/^ts=\S+ gid=\d+ type=item_store /, ''))).toEqual([
      'key=a status=stored cmd=set ttl=100 clsid=1 cfd=4 size=3',
      'key=a status=not_stored cmd=add ttl=0 clsid=1 cfd=4 size=1',
      'key=b status=not_stored cmd=replace ttl=0 clsid=1 cfd=4 size=1',
      'key=a status=stored cmd=append ttl=100 clsid=1 cfd=4 size=5',
      'key=b status=not_stored cmd=prepend ttl=0 clsid=1 cfd=4 size=1',
      'key=b status=not_found cmd=cas ttl=0 clsid=1 cfd=4 size=1',
      'key=a status=exists cmd=cas ttl=0 clsid=1 cfd=4 size=1',
      'key=n status=stored cmd=add ttl=0 clsid=1 cfd=4 size=1',
      'key=a status=stored cmd=set ttl=0 clsid=1 cfd=4 size=0',
      'key=a%20b status=stored cmd=set ttl=0 clsid=1 cfd=4 size=0',
      'key=big status=too_large cmd=set ttl=0 clsid=0 cfd=4 size=0',
    ])
  })

  it('deletions, rawcmds: reports deleted items, and each line as received', async () => {
    await using watched = await watch('deletions rawcmds')
    expect(await watched.lines('set a 0 0 3\r\nabc\r\ndelete a\r\nmd a\r\n')).toEqual([
      'ts=1800000000.500000 gid=2 <4 set a 0 0 3',
      'ts=1800000000.500000 gid=3 <4 delete a',
      'ts=1800000000.500000 gid=4 type=deleted key=a cmd=delete clsid=1 size=3',
      'ts=1800000000.500000 gid=5 <4 md a',
    ])
  })

  it('evictions: reports each evicted item', async () => {
    await using watched = await watch('evictions', { memoryLimitMb: 2, itemMaxBytes: 1024 * 1024 })
    const value = 'x'.repeat(100_000)
    let sets = ''
    for (let index = 0; index < 30; index++) sets += `set key${index} 0 100 100000\r\n${value}\r\n`
    const lines = await watched.lines(sets)
    expect(watched.server.stats()['evictions']).toBe(lines.length)
    expect(lines[0]).toMatch(/^ts=\S+ gid=2 type=eviction key=key0 fetch=no ttl=100 la=0 clsid=\d+ size=100000$/)
  })

  it('connevents: reports new and closed connections, and the reason', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const watcher = new Exchange(server)
    await watcher.send('watch connevents\r\n')
    for (const request of ['quit\r\n', 'GET / HTTP/1.1\r\n']) {
      const socket = connect(port, '127.0.0.1')
      socket.end(request)
      socket.resume()
      await once(socket, 'close')
    }
    let lines = ''
    while (lines.split('\n').length < 5) lines += await watcher.send('')
    const told = lines.replaceAll(/^ts=\S+ gid=\d+ /gm, '').replaceAll(/rport=[1-9]\d*/g, 'rport=P')
    expect(told.replaceAll(/cfd=\d+/g, 'cfd=N').split('\n')).toEqual([
      'type=conn_new rip=127.0.0.1 rport=P transport=tcp cfd=N',
      'type=conn_close rip=127.0.0.1 rport=P transport=tcp reason=normal cfd=N',
      'type=conn_new rip=127.0.0.1 rport=P transport=tcp cfd=N',
      'type=conn_close rip=127.0.0.1 rport=P transport=tcp reason=error cfd=N',
      '',
    ])
  })

  it('refuses unknown watch classes', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    expect(await exchange.send('watch nothing\r\n')).toBe('ERROR\r\n')
    expect(await exchange.send('version\r\nwatch\r\n')).toMatch(
      /ERROR cannot pipeline other commands before watch\r\n$/,
    )
    await using closed = new MemcachedServer({ disableWatch: true })
    expect(await new Exchange(closed).send('watch\r\n')).toBe('CLIENT_ERROR watch commands not allowed\r\n')
    for (let watchers = 0; watchers < 20; watchers++)
      expect(await new Exchange(server).send('watch\r\n')).toBe('OK\r\n')
    expect(await exchange.send('watch\r\n')).toBe('WATCHER_TOO_MANY log watcher limit reached\r\n')
    expect(server.stats()['log_watchers']).toBe(20)
  })

  it('ends with its connection', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const socket = connect(port, '127.0.0.1')
    socket.write('watch fetchers evictions rawcmds\r\n')
    await readUntil(socket, 'OK\r\n')
    expect(server.stats()['log_watchers']).toBe(1)
    socket.destroy()
    await until(() => server.stats()['log_watchers'] === 0)
    expect(await new Exchange(server).send('get a\r\n')).toBe('END\r\n')
    expect(server.stats()['log_worker_written']).toBe(0)
  })

  it('keeps a bounded buffer for a client that does not read, and reports how much was dropped', async () => {
    await using server = new MemcachedServer({ port: 0, watcherBufferBytes: 8192 })
    const { port } = await server.listen()
    const watcher = connect(port, '127.0.0.1')
    watcher.pause()
    watcher.write('watch\r\n')
    await until(() => server.stats()['log_watchers'] === 1)
    const client = new Exchange(server)
    // More than sockets hold.
    const gets = `get ${'k'.repeat(240)}\r\n`.repeat(1000)
    let asked = 0
    for (; Number(server.stats()['log_watcher_skipped']) < 2000; asked += 1000) {
      let replies = await client.send(gets)
      while (replies.length < 5 * 1000) replies += await client.send('')
    }
    const { log_watcher_sent: sent, log_watcher_skipped: skipped } = server.stats()
    expect(Number(sent) + Number(skipped)).toBe(asked)
    let received = ''
    watcher.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
    watcher.resume()
    // Told although nothing happens any more.
    await until(() => /^skipped=\d+\n/m.test(received))
    await client.send('get a\r\n')
    await until(() => received.includes('key=a '))
    expect(received).toMatch(
      /^skipped=\d+\nts=\S+ gid=\d+ type=item_get key=a status=not_found clsid=0 cfd=\d+ size=0\n/m,
    )
    watcher.destroy()
  })
})
