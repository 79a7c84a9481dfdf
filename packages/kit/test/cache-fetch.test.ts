import { Hono } from 'hono'
import { passTime, until } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { cacheFetch } from '../src/http/index.ts'
import type { CacheFetchOptions, FetchHandler } from '../src/http/index.ts'
import { Gate } from '../../express/test/gate.ts'

const ORIGIN = 'https://shop.test'
const status = (response: Response) => response.headers.get('cache-status')

async function open(handler: FetchHandler<[]>, options: CacheFetchOptions = { ttlSeconds: 60 }) {
  const test = await testMemcache({ timeoutMs: 5000 })
  const fetch = cacheFetch(handler, { ...options, cache: test.cache })
  return {
    cache: test.cache,
    get: (path = '/', init: RequestInit = {}) => fetch(new Request(`${ORIGIN}${path}`, init)),
    pass: (seconds: number) => passTime(test.clock, test.cache, seconds),
    [Symbol.asyncDispose]: () => test[Symbol.asyncDispose](),
  }
}

/** A body whose parts a test gives. */
function source() {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  let isCancelled = false
  const body = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    cancel: () => void (isCancelled = true),
  })
  const encoder = new TextEncoder()
  return {
    body,
    write: (text: string) => controller.enqueue(encoder.encode(text)),
    end: () => controller.close(),
    fail: () => controller.error(new Error('broken')),
    get isCancelled() {
      return isCancelled
    },
  }
}

describe('cacheFetch', () => {
  it('responds with the stored response: Age, ETag, 304, HEAD and ranges', async () => {
    let calls = 0
    await using site = await open(
      () => new Response(`call ${++calls}`, { headers: { ETag: `"${calls}"`, 'X-A': '1' } }),
    )
    const first = await site.get()
    expect([status(first), await first.text()]).toEqual(['memcache-ts; fwd=uri-miss; stored', 'call 1'])
    await site.pass(20)
    const hit = await site.get()
    expect([status(hit), await hit.text(), hit.headers.get('age'), hit.headers.get('x-a')]).toEqual([
      'memcache-ts; hit; ttl=40',
      'call 1',
      '20',
      '1',
    ])
    const known = await site.get('/', { headers: { 'If-None-Match': '"1"' } })
    expect([known.status, known.body]).toEqual([304, null])
    const part = await site.get('/', { headers: { Range: 'bytes=0-3' } })
    expect([part.status, await part.text(), part.headers.get('content-range')]).toEqual([206, 'call', 'bytes 0-3/6'])
    const head = await site.get('/', { method: 'HEAD' })
    expect([head.status, await head.text(), head.headers.get('content-length')]).toEqual([200, '', '6'])
  })

  it('has the reason phrase of the handler on misses and hits, and none if it set none', async () => {
    await using site = await open(({ url }) => new Response('a', { statusText: url.endsWith('/own') ? 'Fine' : '' }))
    for (const [path, phrase] of [
      ['/own', 'Fine'],
      ['/', ''],
    ] as const) {
      expect([(await site.get(path)).statusText, (await site.get(path)).statusText]).toEqual([phrase, phrase])
    }
  })

  it('runs one handler for concurrent misses, and gives each request its own body', async () => {
    const gate = new Gate()
    let calls = 0
    await using site = await open(async () => {
      await gate.pass()
      return new Response(`call ${++calls}`)
    })
    const asked = Array.from({ length: 20 }, () => site.get())
    await gate.arrived
    gate.open()
    const bodies = await Promise.all(
      asked.map(async (response) => new Uint8Array(await (await response).arrayBuffer())),
    )
    bodies[0]!.fill(0)
    for (const body of bodies.slice(1)) expect(Buffer.from(body).toString()).toBe('call 1')
    expect(await (await site.get()).text()).toBe('call 1')
  })

  it('sends each part of a stream when it arrives, to its own client and to the clients that joined', async () => {
    const stream = source()
    await using site = await open(() => new Response(stream.body))
    stream.write('one')
    const leading = await site.get()
    const following = await site.get()
    expect(status(following)).toContain('collapsed')
    const readers = [leading, following].map((response) => response.body!.getReader())
    const read = () =>
      Promise.all(readers.map(async (reader) => Buffer.from((await reader.read()).value ?? '').toString()))
    expect(await read()).toEqual(['one', 'one'])
    stream.write('two')
    expect(await read()).toEqual(['two', 'two'])
    stream.end()
    expect(await read()).toEqual(['', ''])
    expect(await (await site.get()).text()).toBe('onetwo')
  })

  it('continues for the joined clients when the handler’s client has disconnected, and stops when all have', async () => {
    const stream = source()
    let handlerSignal!: AbortSignal
    await using site = await open(({ signal }) => {
      handlerSignal = signal
      return new Response(stream.body)
    })
    stream.write('one')
    const [leader, follower] = [new AbortController(), new AbortController()]
    const leading = await site.get('/', { signal: leader.signal })
    const following = await site.get('/', { signal: follower.signal })
    leader.abort()
    await leading.body!.cancel()
    stream.write('two')
    stream.end()
    expect([await following.text(), handlerSignal.aborted]).toEqual(['onetwo', false])
    expect(status(await site.get())).toContain('hit')
  })

  it('aborts the signal of a handler whose client has disconnected, and cancels its body', async () => {
    const stream = source()
    let handlerSignal!: AbortSignal
    await using site = await open(({ signal }) => {
      handlerSignal = signal
      return new Response(stream.body)
    })
    const client = new AbortController()
    stream.write('one')
    await site.get('/', { signal: client.signal })
    client.abort()
    await expect.poll(() => [handlerSignal.aborted, stream.isCancelled]).toEqual([true, true])
  })

  it('a body that breaks off breaks off for its readers, and is not stored', async () => {
    let stream = source()
    await using site = await open(() => new Response(stream.body))
    stream.write('one')
    const response = await site.get()
    stream.fail()
    await expect(response.text()).rejects.toThrow('broken')
    stream = source()
    stream.write('two')
    stream.end()
    expect(await (await site.get()).text()).toBe('two')
  })

  it('passes on an error of the handler as without the cache, and other requests continue', async () => {
    let isBroken = true
    await using site = await open(() => {
      if (isBroken) throw new RangeError('no')
      return new Response('fine')
    })
    await expect(site.get()).rejects.toThrow(new RangeError('no'))
    isBroken = false
    expect(await (await site.get()).text()).toBe('fine')
    await using wrong = await open((() => undefined) as never)
    await expect(wrong.get()).rejects.toThrow('must return a Response')
  })

  it.each([
    ['that it has read', async (made: Response) => void (await made.text())],
    ['that it reads by itself', async (made: Response) => void made.body!.getReader()],
  ])('a handler that returns a body %s gets an error, and no client waits', async (_name, use) => {
    await using site = await open(async () => {
      const made = new Response('body')
      await use(made)
      return made
    })
    for (const method of ['GET', 'HEAD', 'POST']) {
      // Three at once: those who follow must not wait either.
      const got = await Promise.allSettled([1, 2, 3].map(() => site.get('/', { method })))
      expect(got.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    }
  })

  it('invalidates before the response to an unsafe request, and does not read its body', async () => {
    let text = 'old'
    await using site = await open(async (request) => {
      if (request.method === 'POST') text = await request.text()
      return new Response(text)
    })
    expect(await (await site.get('/a')).text()).toBe('old')
    expect(status(await site.get('/a', { method: 'POST', body: 'new' }))).toBe('memcache-ts; fwd=method')
    expect(await (await site.get('/a')).text()).toBe('new')
  })

  it('revalidates in the background, without the credentials and the conditions of the client', async () => {
    const seen: Request[] = []
    await using site = await open(
      (request) => {
        seen.push(request)
        return new Response(`call ${seen.length}`, { headers: { ETag: `"${seen.length}"` } })
      },
      { ttlSeconds: 60, staleSeconds: 60 },
    )
    await site.get('/?a=1', { headers: { 'Accept-Language': 'de' } })
    await site.pass(61)
    const stale = await site.get('/?a=1', { headers: { 'If-None-Match': '"1"', 'Accept-Language': 'de' } })
    expect(stale.status).toBe(304)
    await until(() => seen.length === 2)
    expect([seen[1]!.url, seen[1]!.headers.get('accept-language')]).toEqual([`${ORIGIN}/?a=1`, 'de'])
    expect(seen[1]!.headers.get('if-none-match')).toBe('"1"')
    await site.pass(1)
    expect(await (await site.get('/?a=1')).text()).toBe('call 2')
  })

  it('revalidates a stale response by the handler, and serves it if the handler fails', async () => {
    let answer = () =>
      new Response('old', { headers: { 'Cache-Control': 'max-age=60, stale-if-error=60', ETag: '"1"' } })
    await using site = await open(() => answer(), {})
    await site.get()
    await site.pass(61)
    answer = () => new Response(null, { status: 500 })
    const kept = await site.get()
    expect([kept.status, await kept.text(), status(kept)]).toEqual([
      200,
      'old',
      expect.stringContaining('fwd-status=500'),
    ])
    answer = () => new Response(null, { status: 304, headers: { 'Cache-Control': 'max-age=60', 'X-New': '1' } })
    const confirmed = await site.get()
    expect([confirmed.status, await confirmed.text(), confirmed.headers.get('x-new')]).toEqual([200, 'old', '1'])
    expect(status(await site.get())).toContain('hit')
  })

  it('shares nothing between users: credentials, cookies, Set-Cookie, hosts', async () => {
    let calls = 0
    await using site = await open(
      ({ headers }) =>
        new Response(`${++calls} ${headers.get('authorization') ?? headers.get('cookie') ?? headers.get('host')}`, {
          headers: headers.has('x-login')
            ? [
                ['Set-Cookie', `a=${calls}`],
                ['Set-Cookie', 'b'],
              ]
            : [],
        }),
    )
    const text = async (headers: Record<string, string>) => (await site.get('/', { headers })).text()
    expect(await text({ authorization: 'ann' })).toBe('1 ann')
    expect(await text({ authorization: 'bob' })).toBe('2 bob')
    expect(await text({ cookie: 'sid=1' })).toBe('3 sid=1')
    const login = await site.get('/', { headers: { 'x-login': '1' } })
    expect(login.headers.getSetCookie()).toEqual(['a=4', 'b'])
    await site.pass(1)
    expect(await text({})).toBe('5 null')
    expect(await text({ host: 'other.test' })).toBe('6 other.test')
    // Nobody waits for the response to be stored, after one that could not be.
    await site.pass(1)
    expect(await text({})).toBe('5 null')
  })

  it('hides parameters and cookies that make no difference', async () => {
    await using site = await open(({ url, headers }) => new Response(`${url} ${headers.get('cookie')}`), {
      ttlSeconds: 60,
      ignoreQuery: ['utm_source'],
      ignoreCookies: true,
    })
    const text = async (path: string) => (await site.get(path, { headers: { cookie: 'a=1' } })).text()
    expect(await text('/?utm_source=x&a=1')).toBe(`${ORIGIN}/?a=1 null`)
    expect(await text('/?a=1')).toBe(`${ORIGIN}/?a=1 null`)
  })

  it('is in front of Hono, whose environment it passes on', async () => {
    await using test = await testMemcache()
    const app = new Hono<{ Bindings: { NAME: string } }>()
    let calls = 0
    app.get('/:name', (context) =>
      context.json({ name: context.env.NAME, path: context.req.param('name'), calls: ++calls }),
    )
    const fetch = cacheFetch((request: Request, env: { NAME: string }) => app.fetch(request, env), {
      ttlSeconds: 60,
      cache: test.cache,
    })
    for (let time = 0; time < 2; time++) {
      const response = await fetch(new Request('http://a.test/x'), { NAME: 'shop' })
      expect(await response.json()).toEqual({ name: 'shop', path: 'x', calls: 1 })
    }
  })

  it('selects the response to QUERY by its content, which the handler reads unchanged', async () => {
    const seen: string[] = []
    await using site = await open(
      async (request) => {
        const text = await request.text()
        seen.push(`${request.method} ${text.length}`)
        return new Response(text.slice(0, 10), { headers: { ETag: '"a"' } })
      },
      { ttlSeconds: 60, staleSeconds: 60 },
    )
    const query = async (body?: string) => {
      const response = await site.get('/', { method: 'QUERY', ...(body === undefined ? {} : { body }) })
      return `${await response.text()} ${status(response)}`
    }
    expect(await query('one')).toBe('one memcache-ts; fwd=uri-miss; stored')
    expect(await query('one')).toBe('one memcache-ts; hit; ttl=60')
    expect(await query('two')).toContain('two memcache-ts; fwd=uri-miss')
    expect(await query()).toContain(' memcache-ts; fwd=uri-miss')
    expect(await query('x'.repeat(2_000_000))).toBe('xxxxxxxxxx memcache-ts; fwd=bypass; detail=content-too-large')
    expect(seen).toEqual(['QUERY 3', 'QUERY 3', 'QUERY 0', 'QUERY 2000000'])
    await site.pass(61)
    expect(await query('one')).toContain('one memcache-ts; hit; ttl=-')
    await until(() => seen.length === 5)
    expect(seen.at(-1)).toBe('QUERY 3')
  })

  it('passes on that the content of a QUERY failed, and runs no handler', async () => {
    let calls = 0
    await using site = await open(() => new Response(String(++calls)))
    const { body, write, fail } = source()
    write('half')
    const failed = site.get('/', { method: 'QUERY', body, duplex: 'half' } as RequestInit)
    fail()
    await expect(failed).rejects.toThrow('broken')
    expect(calls).toBe(0)
  })

  it('refuses options that do not exist', () => {
    expect(() => cacheFetch(() => new Response(), { ttl: 5 } as never)).toThrow('`ttl` is `ttlSeconds` here')
  })
})
