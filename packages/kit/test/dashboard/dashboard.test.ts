import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { memcache } from '../../src/index.ts'
import { peekDefaultMemcache } from '../../src/default-memcache.ts'
import { rateLimiter } from '../../src/rate-limit/rate-limiter.ts'
import { MemcacheStore } from '../../src/session/memcache-store.ts'
import { dashboard, startDashboard } from '../../src/dashboard/index.ts'
import {
  describeWithCommand,
  describeWithMemcached,
  FaultProxy,
  launchMemcached,
  launchServer,
  launchYrmcds,
  readLine,
} from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { openCache } from '../open-cache.ts'

const TOKEN = 'a-token-for-tests'
const CLI = fileURLToPath(new URL('../../bin/memcache-ts.js', import.meta.url))

interface View {
  readonly name: string
  readonly up: boolean
  readonly fault?: string
  readonly version?: string
  readonly figures?: Record<string, number>
  readonly slabs?: readonly { readonly items: number }[]
  readonly prefixes?: { readonly source: string; readonly rows: readonly { readonly prefix: string }[] }
}
interface Snapshot {
  readonly servers: readonly View[]
  readonly total?: { readonly figures: Record<string, number> }
  readonly shared: readonly { readonly title: string; readonly figures: readonly { name: string; value: number }[] }[]
}

/** The first snapshot of a stream that is as wanted. */
async function snapshot(url: string, isWanted: (snapshot: Snapshot) => boolean = () => true): Promise<Snapshot> {
  const { body } = await fetch(new URL('events', url))
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    const events = text.split('\n\n')
    text = events.pop()!
    for (const event of events) {
      const [, data] = /^event: snapshot\ndata: (.*)$/s.exec(event) ?? []
      if (data === undefined) continue
      const read = JSON.parse(data) as Snapshot
      if (!isWanted(read)) continue
      // Leaving the loop cancels the stream.
      return read
    }
  }
  throw new Error('the stream ended')
}

async function tell(server: LaunchedServer, commands: string): Promise<void> {
  const socket = connect(server.port, server.host)
  socket.write(`${commands}mn\r\n`)
  let answered = ''
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    answered += chunk.toString()
    if (answered.endsWith('MN\r\n')) break
  }
}

describeWithMemcached('the dashboard of several servers', () => {
  it('shows ours and C memcached side by side, and their sum', async () => {
    await using ours = await launchServer()
    await using theirs = await launchMemcached()
    await tell(ours, 'set user:1 0 0 1\r\n1\r\nget user:1\r\nget no\r\n')
    await tell(theirs, 'set page:1 0 0 1\r\n1\r\nset page:2 0 0 1\r\n1\r\nget page:1\r\n')
    await using started = await startDashboard({ servers: [ours.address, theirs.address], port: 0 })
    const { servers, total } = await snapshot(started.url, (read) =>
      read.servers.every(({ prefixes }) => (prefixes?.rows.length ?? 0) > 0),
    )
    const of = (server: LaunchedServer) => servers.find(({ name }) => name === server.address)!
    expect(of(ours)).toMatchObject({ up: true, figures: { get_hits: 1, get_misses: 1, curr_items: 1 } })
    expect(of(theirs)).toMatchObject({ up: true, figures: { get_hits: 1, get_misses: 0, curr_items: 2 } })
    expect(total!.figures).toMatchObject({ get_hits: 2, get_misses: 1, curr_items: 3 })
    expect(of(theirs).slabs).toMatchObject([{ items: 2 }])
    expect(of(ours).prefixes!.rows.map(({ prefix }) => prefix)).toEqual(['user:'])
    expect(of(theirs).prefixes!.rows.map(({ prefix }) => prefix)).toEqual(['page:'])
  })

  it('shows the others while one is away, and the one again when it is back', async () => {
    await using one = await launchMemcached()
    await using other = await launchMemcached()
    await using started = await startDashboard({ servers: [one.address, other.address], port: 0 })
    const isUp = (read: Snapshot, server: LaunchedServer) =>
      read.servers.find(({ name }) => name === server.address)!.up
    await snapshot(started.url, (read) => isUp(read, one) && isUp(read, other))
    await other.kill()
    const partial = await snapshot(started.url, (read) => !isUp(read, other))
    expect(isUp(partial, one)).toBe(true)
    expect(partial.servers.find(({ up }) => !up)!.fault).toMatch(/\S/)
    const health = await fetch(new URL('healthz', started.url))
    expect([health.status, await health.json()]).toEqual([200, { status: 'partial', up: 1, servers: 2 }])
    const metrics = await (await fetch(new URL('metrics', started.url))).text()
    expect(metrics).toContain(`memcached_up{server="${one.address}"} 1`)
    expect(metrics).toContain(`memcached_up{server="${other.address}"} 0`)
    await other.restart()
    await snapshot(started.url, (read) => isUp(read, other))
  })

  it('is not delayed by a server that accepts connections and does not respond', async () => {
    await using server = await launchMemcached()
    await using proxy = await FaultProxy.start(server)
    proxy.fault = { kind: 'silent' }
    await using started = await startDashboard({ servers: [proxy.address, server.address], port: 0 })
    const { servers } = await snapshot(started.url)
    expect(servers.filter(({ up }) => up)).toMatchObject([{ name: server.address }])
  })

  it('lists and deletes keys of any server with the token', async () => {
    await using ours = await launchServer()
    await using theirs = await launchMemcached()
    await using started = await startDashboard({ servers: [ours.address, theirs.address], port: 0, token: TOKEN })
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    for (const server of [ours, theirs]) {
      await tell(server, 'set a:1 0 0 1\r\n1\r\nset b:1 0 60 1\r\n1\r\n')
      const url = new URL(`keys?server=${server.address}&contains=a:`, started.url)
      expect(await (await fetch(url, { headers })).json()).toMatchObject({ keys: [{ key: 'a:1' }] })
      const body = JSON.stringify({ server: server.address, key: 'a:1' })
      const answer = await fetch(new URL('delete', started.url), { method: 'POST', headers, body })
      expect(await answer.json()).toEqual({ deleted: true })
      const all = await fetch(new URL(`keys?server=${server.address}`, started.url), { headers })
      expect(await all.json()).toMatchObject({ keys: [{ key: 'b:1' }], isComplete: true })
    }
    const body = JSON.stringify({ server: ours.address, confirm: ours.address })
    expect((await fetch(new URL('flush', started.url), { method: 'POST', headers, body })).status).toBe(200)
    const left = await fetch(new URL(`keys?server=${theirs.address}`, started.url), { headers })
    expect(await left.json()).toMatchObject({ keys: [{ key: 'b:1' }] })
  })

  it('has the metrics of memcached_exporter, without a server label for a single target', async () => {
    await using one = await launchMemcached()
    await using other = await launchMemcached()
    await using started = await startDashboard({ servers: [one.address, other.address], port: 0 })
    const text = await (await fetch(new URL(`scrape?target=${one.address}`, started.url))).text()
    expect(text).toContain('\nmemcached_up 1\n')
    expect(text).not.toContain('server=')
  })

  describeWithCommand({ command: ['promtool', '--version'], debianPackage: 'prometheus' }, 'with promtool', () => {
    it('is valid for Prometheus, with a server label and the metrics of the kit', async () => {
      await using theirs = await launchMemcached()
      await using test = await openCache()
      await using started = await startDashboard({ caches: { main: test.cache }, servers: theirs.address, port: 0 })
      const input = await (await fetch(new URL('metrics', started.url))).text()
      expect(input).toContain('memcache_ts_hits_total{cache="main"} 0')
      const { stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' })
      expect(stderr.split('\n').filter((line) => line.includes('memcache_ts_'))).toEqual([])
      expect(stderr).not.toContain('error while linting')
    })
  })
})

describeWithCommand(
  { command: ['sh', '-c', 'command -v yrmcdsd'], debianPackage: 'yrmcds' },
  'the dashboard of another implementation',
  () => {
    it('shows the statistics of a server without slab classes, connections or dumps', async () => {
      await using server = await launchYrmcds()
      await using started = await startDashboard({ servers: server.address, port: 0, token: TOKEN })
      const { servers } = await snapshot(started.url)
      expect(servers).toMatchObject([{ up: true, slabs: [] }])
      expect(await (await fetch(new URL('metrics', started.url))).text()).toContain('\nmemcached_up 1\n')
      const headers = { authorization: `Bearer ${TOKEN}` }
      expect((await fetch(new URL('keys', started.url), { headers })).status).toBe(502)
    })
  },
)

describe('startDashboard', () => {
  it.each([
    [{ port: -1 }, 'port must be a whole number from 0 to 65535, got -1'],
    [{ host: '0.0.0.0', port: 0 }, 'open to every client'],
    [{ token: 'short' }, 'at least 8 characters'],
    [{ cache: 1 }, 'caches'],
    [{ caches: {} }, 'caches is empty'],
    [{ caches: { main: {} } }, 'main is not a cache'],
    [{ servers: 'a:b:c' }, 'cannot be read: write host'],
  ])('refuses %j', async (options, message) => {
    await expect(startDashboard(options as object)).rejects.toThrow(message)
  })

  it('reports that all servers are away, and still responds', async () => {
    await using started = await startDashboard({ servers: '127.0.0.1:1', port: 0 })
    const { servers, total } = await snapshot(started.url)
    expect(servers).toMatchObject([{ name: '127.0.0.1:1', up: false }])
    expect(total).toBeUndefined()
    expect((await fetch(new URL('healthz', started.url))).status).toBe(503)
    expect(await (await fetch(new URL('metrics', started.url))).text()).toContain('memcached_up 0')
  })
})

describe('the middleware', () => {
  /** Mounts the middleware as Express and Connect do: the path is cut, and the full path is in `originalUrl`. */
  async function mount(middleware: ReturnType<typeof dashboard>, path: string) {
    const server = createServer((request: IncomingMessage & { originalUrl?: string }, response: ServerResponse) => {
      request.originalUrl = request.url!
      const rest = request.url!.slice(path.length)
      request.url = rest.startsWith('/') ? rest : `/${rest}`
      middleware(request, response, () => response.writeHead(404).end('next'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return {
      origin,
      [Symbol.asyncDispose]: async () => {
        await middleware.close()
        server.close()
        server.closeAllConnections()
      },
    }
  }

  it('shows the counters of the application’s cache', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('k', () => 1, 60)
    await test.cache.getOrSet('k', () => 1, 60)
    await using mounted = await mount(dashboard({ caches: test.cache }), '/admin/cache')
    const { servers, shared } = await snapshot(`${mounted.origin}/admin/cache/`)
    expect(servers).toMatchObject([{ up: true }])
    expect(shared.map(({ title }) => title)).toEqual(['This application'])
    const figures = Object.fromEntries(shared[0]!.figures.map(({ name, value }) => [name, value]))
    expect(figures).toMatchObject({ Hits: 1, Misses: 1, Loads: 1, Coalesced: 0, 'Hit ratio': 50 })
    const metrics = await (await fetch(`${mounted.origin}/admin/cache/metrics`)).text()
    expect(metrics).toContain('memcache_ts_hits_total{cache="default"} 1')
  })

  it('shows how many calls were denied, and about how many sessions there are', async () => {
    await using test = await openCache({ prefix: 'shop' })
    const limiter = rateLimiter({ name: 'login', perMinute: 2, cache: test.cache })
    for (let call = 0; call < 5; call++) await limiter.consume('ann')
    const store = new MemcacheStore({ cache: test.cache })
    for (const id of ['a', 'b', 'c']) {
      await new Promise<void>((resolve, reject) => {
        const cookie = { originalMaxAge: 60_000, maxAge: 60_000 }
        store.set(id.repeat(32), { cookie } as never, (error) => (error ? reject(error as Error) : resolve()))
      })
    }
    await test.cache.set('product:1', 1)
    await using mounted = await mount(dashboard({ caches: test.cache }), '')
    const { shared, servers } = await snapshot(`${mounted.origin}/`, (read) =>
      read.shared[0]!.figures.some(({ name }) => name.startsWith('Sessions')),
    )
    const figures = Object.fromEntries(shared[0]!.figures.map(({ name, value }) => [name, value]))
    expect(figures).toMatchObject({ 'Limits denied': 3, 'Sessions, about': 3 })
    expect(servers[0]!.prefixes!.rows.map(({ prefix }) => prefix)).toContain('shop:product:')
  })

  it('uses separate connections, so that an application is not delayed', async () => {
    await using test = await openCache()
    await test.cache.set('a', 1)
    const connections = async () => [...(await test.cache.client.stats()).values()][0]!.curr_connections
    const before = await connections()
    await using mounted = await mount(dashboard({ caches: test.cache }), '')
    await snapshot(`${mounted.origin}/`)
    expect(await connections()).toBe(before + 1)
    await mounted[Symbol.asyncDispose]()
    await expect.poll(connections).toBe(before)
  })

  it('does not open the default cache before the first request', async () => {
    await using middleware = dashboard()
    expect(middleware).toBeTypeOf('function')
    expect(peekDefaultMemcache()).toBeUndefined()
  })

  it('shows the server in the process', async () => {
    await using cache = memcache({ servers: 'embedded' })
    await cache.set('a', 1)
    await using mounted = await mount(dashboard({ caches: cache }), '')
    const { servers } = await snapshot(`${mounted.origin}/`)
    expect(servers).toMatchObject([{ name: 'embedded', up: true }])
  })

  it('watches a server of several caches once, and names each cache', async () => {
    await using test = await openCache()
    await using mounted = await mount(dashboard({ caches: { a: test.cache, b: test.cache } }), '')
    const { servers, shared } = await snapshot(`${mounted.origin}/`)
    expect(servers).toHaveLength(1)
    expect(shared.map(({ title }) => title)).toEqual(['This application: a', 'This application: b'])
  })

  it.each([
    ['/admin/cache', './cache/'],
    ['/admin/cache?tab=1', './cache/'],
    ['/admin//evil.example', './evil.example/'],
  ])('sends %s to the folder, so that relative links work behind any proxy', async (path, location) => {
    await using test = await openCache()
    await using mounted = await mount(dashboard({ caches: test.cache }), path.split('?')[0]!)
    const answer = await fetch(mounted.origin + path, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([302, location])
  })

  it('passes other paths to the application', async () => {
    await using test = await openCache()
    await using mounted = await mount(dashboard({ caches: test.cache }), '/admin')
    const answer = await fetch(`${mounted.origin}/admin/other`)
    expect([answer.status, await answer.text()]).toEqual([404, 'next'])
  })

  it('is read-only without a token', async () => {
    await using test = await openCache()
    await using mounted = await mount(dashboard({ caches: test.cache }), '')
    for (const [path, method] of [
      ['keys', 'GET'],
      ['delete', 'POST'],
      ['flush', 'POST'],
    ] as const) {
      expect((await fetch(`${mounted.origin}/${path}`, { method })).status).toBe(403)
    }
  })

  it('deletes a key that the application has stored, by the name that the server has', async () => {
    await using test = await openCache({ prefix: 'shop' })
    await test.cache.set('a', 1)
    await using mounted = await mount(dashboard({ caches: test.cache, token: TOKEN }), '')
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    const { keys } = (await (await fetch(`${mounted.origin}/keys`, { headers })).json()) as { keys: { key: string }[] }
    expect(keys.map(({ key }) => key)).toEqual(['shop:a'])
    const body = JSON.stringify({ key: 'shop:a' })
    const answer = await fetch(`${mounted.origin}/delete`, { method: 'POST', headers, body })
    expect(await answer.json()).toEqual({ deleted: true })
    expect(await test.cache.get('a')).toBeUndefined()
  })
})

describe('memcache-ts dashboard', () => {
  it('serves until it gets a signal to end', async () => {
    await using server = await launchServer()
    const child = spawn(process.execPath, [CLI, 'dashboard', server.address, '--listen', ':0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const line = await readLine(child)
    const url = line.replace('dashboard on ', '')
    expect(await (await fetch(`${url}healthz`)).json()).toMatchObject({ status: 'ok' })
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    expect((await exited)[0]).toBe(0)
  })

  it('does not start without a token if other machines can reach it', async () => {
    const { MEMCACHE_DASHBOARD_TOKEN: _, ...env } = process.env
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'dashboard', '--listen', '0.0.0.0:0'], {
      env,
      encoding: 'utf8',
    })
    expect(stderr).toContain('set a token')
    expect(status).toBe(2)
  })
})
