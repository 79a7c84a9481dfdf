import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describeWithMemcached, launchMemcached, launchServer, readLine } from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../examples/cities-express/dist/main.js', import.meta.url))
const ORIGIN = /http:\/\/localhost:\d+/
const PARIS = 2_988_507

/** The example in a process of its own, as `npm start` runs it. */
class Service {
  readonly origin: string
  readonly #process: ChildProcess

  private constructor(process: ChildProcess, origin: string) {
    this.#process = process
    this.origin = origin
  }

  static async start(servers: string): Promise<Service> {
    // A busy machine may need more than the default limit of 100 ms.
    const MEMCACHE_SERVERS = `memcache://${servers}?timeoutMs=20000`
    const child = spawn(process.execPath, [MAIN], {
      env: { ...process.env, PORT: '0', MEMCACHE_SERVERS, SESSION_SECRET: 'known to both processes' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const line = await readLine(child, ORIGIN)
    return new Service(child, ORIGIN.exec(line)![0])
  }

  get(path: string, cookie = ''): Promise<Response> {
    return fetch(this.origin + path, { headers: { cookie } })
  }

  /** Ends it as a supervisor does, and returns its exit status. */
  async stop(): Promise<number | null> {
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    const [code] = (await exited) as [number | null]
    return code
  }
}

const askedDatabase = (response: Response) => response.headers.get('server-timing')!.includes('db;')

/** Returns the remaining limit and the seconds until it is reset. */
function limitOf(response: Response): { left: number; seconds: number } {
  const [, left, seconds] = /;r=(\d+);t=(\d+)/.exec(response.headers.get('ratelimit')!)!
  return { left: Number(left), seconds: Number(seconds) }
}

function twoProcesses(launch: () => Promise<LaunchedServer>): void {
  let server: LaunchedServer
  let one: Service
  let other: Service

  beforeAll(async () => {
    server = await launch()
    ;[one, other] = await Promise.all([Service.start(server.address), Service.start(server.address)])
  })

  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  it('share the cache', async () => {
    const path = '/api/near?lat=52.52&lon=13.405&km=30'
    const first = await one.get(path)
    const second = await other.get(path)
    expect(askedDatabase(first)).toBe(true)
    expect(askedDatabase(second)).toBe(false)
    expect(await second.json()).toEqual(await first.json())
  })

  it('share the evictions', async () => {
    const path = '/api/search?q=lutetia'
    await other.get(path)
    expect(askedDatabase(await other.get(path))).toBe(false)
    const changed = await fetch(`${one.origin}/api/cities/${PARIS}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ population: 2_100_000 }),
    })
    expect(changed.status).toBe(200)
    expect(askedDatabase(await other.get(path))).toBe(true)
    expect(askedDatabase(await other.get(`/api/cities/${PARIS}`))).toBe(true)
  })

  it('share sessions', async () => {
    const looked = await one.get(`/api/cities/${PARIS}`)
    const [cookie] = looked.headers.getSetCookie()[0]!.split(';')
    const me = (await (await other.get('/api/me', cookie)).json()) as { lookedAt: { id: number }[] }
    expect(me.lookedAt.map(({ id }) => id)).toEqual([PARIS])
  })

  it('share limits', async () => {
    // When a minute ends between the calls, the next ones are in one.
    for (;;) {
      const before = limitOf(await one.get('/api/me'))
      for (let call = 0; call < 5; call++) await one.get('/api/me')
      for (let call = 0; call < 4; call++) await other.get('/api/me')
      const after = limitOf(await other.get('/api/me'))
      if (after.seconds > before.seconds) continue
      // What was counted in the minute before counts less and less meanwhile.
      expect(before.left - after.left).toBeGreaterThanOrEqual(7)
      expect(before.left - after.left).toBeLessThanOrEqual(10)
      return
    }
  })

  it('continue without it when memcached is away', async () => {
    await server.kill()
    const city = await one.get(`/api/cities/${PARIS}`)
    expect(city.status).toBe(200)
    expect(askedDatabase(city)).toBe(true)
    expect((await other.get('/api/search?q=berlin')).status).toBe(200)
    const statistics = await one.get('/api/stats')
    expect(statistics.status).toBe(200)
    expect(await statistics.json()).toMatchObject({ servers: {} })
  })

  it('end cleanly on a signal', async () => {
    expect(await Promise.all([one.stop(), other.stop()])).toEqual([0, 0])
  })
}

describe('two processes of the example with one memcache-ts-server', () => twoProcesses(launchServer))
describeWithMemcached('two processes of the example with one memcached', () => twoProcesses(launchMemcached))
