import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Collector } from '../../src/dashboard/collector.ts'
import type { ServerView } from '../../src/dashboard/server-watch.ts'
import { metricsText } from '../../src/dashboard/prometheus.ts'
import type { Statistics, WatchedServer } from '../../src/dashboard/watched-server.ts'
import { MemcachedServer } from '../../src/index.ts'

const TOKEN = 'a-token-for-tests'
const BEARER = { authorization: `Bearer ${TOKEN}` }
const JSON_TYPE = { 'content-type': 'application/json' }

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Sends a request like `fetch`, which does not allow setting `Host`, `Origin` and similar fields. */
async function ask(url: string, method = 'GET', headers: OutgoingHttpHeaders = {}, body = ''): Promise<Answer> {
  const sent = request(url, { method, headers, agent: false })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString()
  return { status: response.statusCode!, headers: response.headers, text }
}

describe('the dashboard over HTTP', () => {
  let server: MemcachedServer
  let port: number
  let url: string

  beforeEach(async () => {
    server = new MemcachedServer({ port: 0, dashboard: ':0', dashboardToken: TOKEN })
    port = (await server.listen()).port
    url = server.dashboardUrl!
  })
  afterEach(() => server.close())

  async function tell(...commands: string[]): Promise<void> {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${commands.join('\r\n')}\r\nmn\r\n`)
    let answered = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      answered += chunk.toString()
      if (answered.endsWith('MN\r\n')) break
    }
  }
  const set = (key: string, value = 'v') => tell(`set ${key} 0 0 ${value.length}`, value)

  it('serves a page that runs and loads only its own parts, in less than 60 kB', async () => {
    const { status, headers, text } = await ask(url)
    expect(status).toBe(200)
    expect(Buffer.byteLength(text)).toBeLessThan(60_000)
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toMatch(/script-src 'sha256-[\w+/=]{44}'/)
    expect(policy).toMatch(/style-src 'sha256-[\w+/=]{44}'/)
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(text).not.toMatch(/ style=| on\w+=|(?:src|href)="(?:https?:)?\/\//)
  })

  it.each([
    ['a page of another site whose name resolves to this machine', { host: 'evil.example' }, 403],
    ['a name with the port', { host: 'localhost:80' }, 200],
    ['another address of loopback', { host: '127.0.0.2' }, 200],
    ['IPv6', { host: '[::1]:11212' }, 200],
    ['a name that begins like this machine', { host: 'localhost.evil.example' }, 403],
    ['an address that begins like loopback', { host: '127.evil.example' }, 403],
  ])('looks at the host: %s', async (_, headers, status) => {
    for (const path of ['', 'metrics', 'healthz']) expect((await ask(url + path, 'GET', headers)).status).toBe(status)
  })

  it.each(['keys', 'delete', 'flush'])('%s needs the token', async (path) => {
    const method = path === 'keys' ? 'GET' : 'POST'
    await set('kept')
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { cookie: 'memcache_ts_dashboard=wrong' }]) {
      const all = { ...headers, ...JSON_TYPE, 'x-memcache-ts-dashboard': '1' }
      const body = path === 'keys' ? '' : JSON.stringify({ key: 'kept', server: '', confirm: '' })
      expect((await ask(`${url}${path}?token=${TOKEN}`, method, all, body)).status).toBe(401)
    }
    expect(server.stats()['curr_items']).toBe(1)
  })

  it('lists keys, deletes one and flushes with the token', async () => {
    await set('a:1')
    await set('<script>')
    const listed = await ask(`${url}keys`, 'GET', BEARER)
    const { keys, isComplete } = JSON.parse(listed.text) as { keys: { key: string }[]; isComplete: boolean }
    expect(keys.map(({ key }) => key).sort()).toEqual(['<script>', 'a:1'])
    expect(isComplete).toBe(true)
    expect(JSON.parse((await ask(`${url}keys?contains=a:`, 'GET', BEARER)).text)).toMatchObject({
      keys: [{ key: 'a:1' }],
    })
    const gone = JSON.stringify({ key: '<script>' })
    expect((await ask(`${url}delete`, 'POST', { ...BEARER, ...JSON_TYPE }, gone)).text).toBe('{"deleted":true}\n')
    expect((await ask(`${url}delete`, 'POST', { ...BEARER, ...JSON_TYPE }, gone)).text).toBe('{"deleted":false}\n')
    const name = `127.0.0.1:${port}`
    const flush = (confirm: string) =>
      ask(`${url}flush`, 'POST', { ...BEARER, ...JSON_TYPE }, JSON.stringify({ server: name, confirm }))
    expect((await flush('')).status).toBe(400)
    expect(server.stats()['curr_items']).toBe(1)
    expect((await flush(name)).status).toBe(200)
    // Flushed items are freed later, and are not visible.
    expect(JSON.parse((await ask(`${url}keys`, 'GET', BEARER)).text)).toEqual({ keys: [], isComplete: true })
    await expect.poll(() => server.stats()['curr_connections']).toBe(0)
  })

  it('lists keys for several viewers at the same time', async () => {
    await set('a:1')
    const answers = await Promise.all([1, 2, 3].map(() => ask(`${url}keys`, 'GET', BEARER)))
    for (const { text } of answers) expect(JSON.parse(text)).toMatchObject({ keys: [{ key: 'a:1' }] })
  })

  it('takes keys with spaces and any letters', async () => {
    const key = 'a b\nclé 日本'
    const encoded = Buffer.from(key).toString('base64')
    await tell(`ms ${encoded} 1 b`, 'v')
    expect(server.stats()['curr_items']).toBe(1)
    const { keys } = JSON.parse((await ask(`${url}keys`, 'GET', BEARER)).text) as { keys: { key: string }[] }
    expect(keys.map((item) => item.key)).toEqual([key])
    await ask(`${url}delete`, 'POST', { ...BEARER, ...JSON_TYPE }, JSON.stringify({ key }))
    expect(server.stats()['curr_items']).toBe(0)
  })

  describe('with a session', () => {
    let cookie: string

    beforeEach(async () => {
      const { status, headers } = await ask(`${url}login`, 'POST', JSON_TYPE, JSON.stringify({ token: TOKEN }))
      expect(status).toBe(200)
      const [set = ''] = headers['set-cookie'] ?? []
      expect(set).toMatch(/^memcache_ts_dashboard=[\w-]{43}; HttpOnly; SameSite=Strict; Max-Age=28800$/)
      expect(set).not.toContain(TOKEN)
      cookie = set.split(';')[0]!
    })

    const body = JSON.stringify({ key: 'kept' })

    it('acts for the page', async () => {
      await set('kept')
      const headers = { cookie, ...JSON_TYPE, 'x-memcache-ts-dashboard': '1', 'sec-fetch-site': 'same-origin' }
      expect((await ask(`${url}delete`, 'POST', headers, body)).text).toBe('{"deleted":true}\n')
    })

    it.each([
      [
        'a form of another site',
        { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' },
      ],
      ['another origin', { ...JSON_TYPE, 'x-memcache-ts-dashboard': '1', origin: 'http://evil.example' }],
      ['another port of this machine', { ...JSON_TYPE, 'x-memcache-ts-dashboard': '1', 'sec-fetch-site': 'same-site' }],
      ['an opaque origin', { ...JSON_TYPE, 'x-memcache-ts-dashboard': '1', origin: 'null' }],
      ['a request without the header of the page', JSON_TYPE],
    ])('refuses %s', async (_, headers) => {
      await set('kept')
      expect((await ask(`${url}delete`, 'POST', { cookie, ...headers }, body)).status).toBe(403)
      expect(server.stats()['curr_items']).toBe(1)
    })

    it('ends it', async () => {
      await ask(`${url}logout`, 'POST', { cookie, 'x-memcache-ts-dashboard': '1' })
      expect((await ask(`${url}keys`, 'GET', { cookie })).status).toBe(401)
    })
  })

  it('looks at no more tokens of an address after twenty wrong ones', async () => {
    const login = (token: string) => ask(`${url}login`, 'POST', JSON_TYPE, JSON.stringify({ token }))
    for (let attempt = 0; attempt < 20; attempt++) expect((await login(`wrong ${attempt}`)).status).toBe(401)
    const late = await login(TOKEN)
    expect(late.status).toBe(429)
    expect(late.headers['retry-after']).toBe('60')
  })

  it.each([
    ['POST', '', 405],
    ['GET', 'delete', 405],
    ['GET', 'nothing', 404],
    ['GET', '__proto__', 404],
    ['GET', 'constructor', 404],
    ['HEAD', '', 200],
    ['GET', 'scrape?target=elsewhere:11211', 404],
  ])('%s /%s is %i', async (method, path, status) => {
    const { headers, ...answer } = await ask(url + path, method)
    expect(answer.status).toBe(status)
    if (status === 405) expect(headers.allow).toBe(method === 'POST' ? 'GET, HEAD' : 'POST')
  })

  it.each([
    ['a body that is too long', JSON.stringify({ key: 'x'.repeat(20_000) }), JSON_TYPE, 413],
    ['no JSON', '{', JSON_TYPE, 400],
    ['no object', 'null', JSON_TYPE, 400],
    ['another type', 'key=a', { 'content-type': 'text/plain' }, 415],
    ['no key', '{}', JSON_TYPE, 400],
  ])('refuses %s', async (_, body, headers, status) => {
    const answer = await ask(`${url}delete`, 'POST', { ...BEARER, ...headers }, body)
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.text)).toHaveProperty('error')
  })

  it('reports its health', async () => {
    expect((await ask(`${url}healthz`)).text).toBe('{"status":"ok","up":1,"servers":1}\n')
  })

  it('reads nothing and has no connection without viewers', async () => {
    const before = server.stats()['curr_connections']
    expect(before).toBe(0)
    const looking = request(`${url}events`, { agent: false })
    looking.end()
    const [events] = (await once(looking, 'response')) as [IncomingMessage]
    let text = ''
    for await (const chunk of events as AsyncIterable<Buffer>) {
      text += chunk.toString()
      if (text.includes('event: snapshot')) break
    }
    looking.destroy()
    await expect.poll(() => server.stats()['curr_connections']).toBe(0)
  })

  it('ends the streams of viewers when the server closes', async () => {
    const looking = request(`${url}events`, { agent: false })
    looking.end()
    const [events] = (await once(looking, 'response')) as [IncomingMessage]
    events.resume()
    await server.close()
    await expect.poll(() => events.closed).toBe(true)
  })
})

describe('the address of the dashboard', () => {
  it.each(['0.0.0.0:0', '[::]:0', '*:0'])('refuses %s without a token, with advice', async (dashboard) => {
    await using server = new MemcachedServer({ port: 0, dashboard })
    await expect(server.listen()).rejects.toThrow(/open to every client that reaches .*: set a token/)
  })

  it('requires the token for everything there', async () => {
    await using server = new MemcachedServer({ port: 0, dashboard: '0.0.0.0:0', dashboardToken: TOKEN })
    await server.listen()
    const url = server.dashboardUrl!.replace('0.0.0.0', '127.0.0.1')
    for (const path of ['', 'events', 'metrics', 'scrape?target=', 'keys']) {
      expect((await ask(url + path)).status).toBe(401)
    }
    expect((await ask(`${url}healthz`)).status).toBe(200)
    expect((await ask(`${url}metrics`, 'GET', BEARER)).status).toBe(200)
    const page = await ask(url, 'GET', { accept: 'text/html' })
    expect(page.status).toBe(401)
    expect(page.text).toContain('<form method="post" action="login">')
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await ask(`${url}login`, 'POST', form, 'token=wrong')).status).toBe(401)
    const opened = await ask(`${url}login`, 'POST', form, `token=${TOKEN}`)
    expect([opened.status, opened.headers.location]).toEqual([303, './'])
    const cookie = opened.headers['set-cookie']![0]!.split(';')[0]!
    expect((await ask(url, 'GET', { cookie })).status).toBe(200)
  })

  it('ends the stream of a session that has ended there', async () => {
    await using server = new MemcachedServer({ port: 0, dashboard: '0.0.0.0:0', dashboardToken: TOKEN })
    await server.listen()
    const url = server.dashboardUrl!.replace('0.0.0.0', '127.0.0.1')
    const opened = await ask(`${url}login`, 'POST', JSON_TYPE, JSON.stringify({ token: TOKEN }))
    const cookie = opened.headers['set-cookie']![0]!.split(';')[0]!
    const looking = request(`${url}events`, { agent: false, headers: { cookie } })
    looking.end()
    const [events] = (await once(looking, 'response')) as [IncomingMessage]
    events.resume()
    await ask(`${url}logout`, 'POST', { cookie })
    await expect.poll(() => events.readableEnded).toBe(true)
  })

  it.each([
    ['a token that is too short', { dashboard: true, dashboardToken: 'short' }, 'at least 8 characters'],
    ['an address that cannot be', { dashboard: 'a b:c' }, "must be host:port, such as 127.0.0.1:11212, got 'a b:c'"],
    ['a port that cannot be', { dashboard: ':70000' }, 'must be host:port'],
    ['another type', { dashboard: 11_212 as unknown as string }, 'dashboard must be an address'],
  ])('refuses %s', async (_, options, message) => {
    const listen = async () => {
      await using server = new MemcachedServer({ port: 0, ...options })
      await server.listen()
    }
    await expect(listen()).rejects.toThrow(message)
  })

  it('reports that the port is in use, and leaves no server running', async () => {
    await using first = new MemcachedServer({ port: 0, dashboard: ':0' })
    await first.listen()
    const dashboard = new URL(first.dashboardUrl!).host
    await using second = new MemcachedServer({ port: 0, dashboard })
    await expect(second.listen()).rejects.toThrow(/the dashboard cannot listen on .*: the port is in use/)
  })

  it.each([
    ['binary alone', { protocol: 'binary' as const }],
    ['SASL', { saslPasswordFile: '/dev/null' }],
    ['UDP alone', { udpPort: 0, disableTcp: true }],
  ])('acts whatever its clients have to speak: %s', async (_, options) => {
    await using server = new MemcachedServer({ port: 0, dashboard: ':0', dashboardToken: TOKEN, ...options })
    const { host, port } = await server.listen()
    const url = server.dashboardUrl!
    const body = JSON.stringify({ server: `${host}:${port}`, confirm: `${host}:${port}` })
    expect((await ask(`${url}flush`, 'POST', { ...BEARER, ...JSON_TYPE }, body)).status).toBe(200)
    expect(server.stats()['cmd_flush']).toBe(1)
  })

  it('has no key browser and no action without a token', async () => {
    await using server = new MemcachedServer({ port: 0, dashboard: ':0' })
    await server.listen()
    const url = server.dashboardUrl!
    expect((await ask(`${url}keys`)).status).toBe(403)
    expect((await ask(`${url}flush`, 'POST', JSON_TYPE, '{}')).status).toBe(403)
    expect((await ask(`${url}login`, 'POST', JSON_TYPE, '{"token":""}')).status).toBe(403)
  })
})

describe('a dashboard of servers that are slow, restarted or hostile', () => {
  afterEach(() => void vi.useRealTimers())

  function watched(name: string, statistics: (form: string) => Promise<Statistics>): WatchedServer {
    return {
      name,
      statistics,
      roundTrip: () => Promise.resolve(undefined),
      dump: () => Promise.resolve(),
      delete: () => Promise.resolve(false),
      flush: () => Promise.resolve(),
      rest: () => {},
    }
  }
  /** Statistics that were taken so many seconds after the start. */
  const at = (uptime: number, more: Statistics = {}): Statistics => ({ pid: 1, uptime, cmd_get: uptime * 10, ...more })

  it('shows the others once a second, with points at the same times for all', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    let second = 0
    let answerSlowly = (): void => {}
    const slow = watched('slow', (form) =>
      form === '' && second > 0
        ? new Promise((resolve) => (answerSlowly = () => resolve(at(second))))
        : Promise.resolve(form === '' ? at(second) : {}),
    )
    const quick = watched('quick', (form) => Promise.resolve(form === '' ? at(second) : {}))
    const collector = new Collector(() => [slow, quick])
    const collect = async (): Promise<readonly ServerView[]> => {
      const snapshot = collector.collect()
      await vi.advanceTimersByTimeAsync(1000)
      second++
      return (await snapshot).servers
    }
    const first = { up: true, rates: undefined }
    const busy = { up: true, rates: { get: 10 } }
    expect(await collect()).toMatchObject([first, first])
    expect(await collect()).toMatchObject([first, busy])
    answerSlowly()
    expect(await collect()).toMatchObject([busy, busy])
    // From here on no response comes: the server is shown as it was, until two seconds have gone.
    expect(await collect()).toMatchObject([busy, busy])
    expect(await collect()).toMatchObject([busy, busy])
    expect(await collect()).toMatchObject([{ up: false, fault: 'no response within 2000 ms' }, busy])
    const { slow: slowPast, quick: quickPast } = collector.history()
    expect(slowPast!.map((point) => point.at)).toEqual(quickPast!.map((point) => point.at))
  })

  it.each([
    ['was restarted', at(100), at(1), false],
    ['has given its address to another server', at(100), at(101, { pid: 2 }), false],
    ['has reset its counters', at(100), at(101, { cmd_get: 3 }), 0],
    ['sends what is no number', at(100), at(101, { cmd_get: '1e999' }), 0],
    ['sends negative numbers', at(100), at(101, { cmd_get: -7 }), 0],
  ])('has no false rates if a server %s', async (_, before, after, expected) => {
    const samples = [before, after]
    const one = watched('one', (form) => Promise.resolve(form === '' ? samples.shift()! : {}))
    const collector = new Collector(() => [one])
    await collector.collect()
    const { total } = await collector.collect()
    expect(total!.rates?.get ?? false).toBe(expected)
  })

  it('bounds the memory that a server can make the page and the metrics use', async () => {
    const long = 'x'.repeat(100_000)
    const many = (name: (id: number) => string): Statistics =>
      Object.fromEntries(Array.from({ length: 10_000 }, (_, id) => [name(id), long]))
    const hostile = watched('hostile', (form) =>
      Promise.resolve(
        {
          '': { version: long, uptime: '1e999' },
          slabs: many((id) => `${id}:chunk_size`),
          items: many((id) => `items:${id}:number`),
          conns: many((id) => `${id}:addr`),
        }[form] ?? {},
      ),
    )
    const text = JSON.stringify(await new Collector(() => [hostile]).collect())
    expect(text.length).toBeLessThan(100_000)
    expect(text).not.toContain('null')
    expect((await metricsText([hostile, hostile])).length).toBeLessThan(20_000)
  })
})
