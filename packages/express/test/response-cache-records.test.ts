import fc from 'fast-check'
import { cacheResponse } from '../src/index.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'

/** A record's bytes, as docs/format.md has them. */
function recordOf(head: unknown, body: Buffer): Buffer {
  const line = Buffer.from(JSON.stringify(head) ?? 'null')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(line.length)
  return Buffer.concat([length, line, body])
}

/** Fields that no response is stored with: of a connection, of one client, or with several values. */
const NEVER_STORED = [
  { 'transfer-encoding': 'chunked' },
  { 'content-length': '1' },
  { connection: 'close' },
  { upgrade: 'h2c' },
  { trailer: 'x' },
  { 'set-cookie': 'id=1' },
  { age: '1' },
  { 'x-csrf-token': 'of ann' },
  { 'ratelimit-remaining': '1' },
  { 'content-type': ['text/html', 'text/plain'] },
]

describe('a value that another program has stored under the key of a response', () => {
  let site: Site
  let name: string
  let stored: { head: Record<string, unknown>; body: Buffer }

  beforeAll(async () => {
    site = await openSite({ ttlSeconds: 60 })
    site.answers((_request, response) => response.type('text').send('right '.repeat(500)))
    await site.get()
    // What was answered is stored a moment later.
    await site.pass(0)
    const names: string[] = []
    await site.cache.client.metadump(({ key }) => void names.push(key))
    name = names.find((key) => key.includes('http:'))!
    const bytes = (await site.cache.client.get<{ value: Buffer }>(name))!.value
    const end = 4 + bytes.readUInt32BE(0)
    stored = { head: JSON.parse(bytes.toString('utf8', 4, end)) as Record<string, unknown>, body: bytes.subarray(end) }
  })
  afterAll(() => site[Symbol.asyncDispose]())

  const expectRight = async (bytes: Buffer): Promise<void> => {
    await site.cache.client.set(name, bytes, 60)
    for (const headers of [{}, { 'If-None-Match': '*' }]) {
      const { status, body } = await site.get('/', headers)
      expect([200, 304]).toContain(status)
      if (status === 200) expect(body).toBe('right '.repeat(500))
    }
    expect((await site.send('HEAD')).status).toBe(200)
  }

  it('is sent if it is a record of this key', async () => {
    expect(stored.head).toMatchObject({ kind: 'response', status: 200, compression: 'gzip', length: 3000 })
    expect((await site.get()).isHit).toBe(true)
  })

  it.each(
    Object.entries({
      status: [99, 101, 206, 304, 416, 700, '200', null, 1.5, -1],
      fields: [null, [], { 'bad name': 'x' }, { a: 'b\r\nc' }, { a: 1 }, { a: [1] }, 'text', ...NEVER_STORED],
      removed: [null, ['bad name'], [1]],
      receivedMs: [null, 'x', -1, 1e300],
      lifetimes: [null, {}, { freshSeconds: 'x' }],
      compression: ['br', null, 'none'],
      length: [null, -1, 1, 1.5, 2999, 3001, 1e300],
      key: ['another', null],
      kind: ['pass', 'variants', 'x', null],
    }).flatMap(([part, values]) => values.map((value) => [part, value] as const)),
  )('is a miss where its %s is %j', async (part, value) => {
    await expectRight(recordOf({ ...stored.head, [part]: value }, stored.body))
  })

  it('is a miss if a list of variants is under the key of a variant', async () => {
    await using other = await openSite({ ttlSeconds: 60 })
    other.answers((_request, response) => response.set('Vary', 'Accept').send('right'))
    await other.get()
    await other.pass(0)
    const names: string[] = []
    await other.cache.client.metadump(({ key }) => void names.push(key))
    const variant = names.filter((key) => key.includes('http:')).sort((one, two) => two.length - one.length)[0]!
    const bytes = (await other.cache.client.get<{ value: Buffer }>(variant))!.value
    const { key } = JSON.parse(bytes.toString('utf8', 4, 4 + bytes.readUInt32BE(0))) as { key: string }
    const nested = recordOf({ kind: 'variants', key, names: ['accept'], id: 'x' }, Buffer.alloc(0))
    await other.cache.client.set(variant, nested, 60)
    for (const method of ['GET', 'HEAD', 'GET']) expect((await other.send(method)).status).toBe(200)
    expect((await other.get()).body).toBe('right')
  })

  it('is a miss, with any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
          fc.jsonValue().map((head) => recordOf(head, stored.body)),
          fc.uint8Array({ maxLength: 50 }).map((body) => recordOf(stored.head, Buffer.from(body))),
        ),
        expectRight,
      ),
      { numRuns: 60 },
    )
  })
})

describe('a cache within a cache', () => {
  it('adds its tags if it has the same key, and serves its own responses if it has another key', async () => {
    await using site = await openSite({ ttlSeconds: 60 })
    const { cache } = site
    let calls = 0
    const within = cacheResponse({ ttlSeconds: 5, tags: ['within'], cache })
    const keyed = cacheResponse({ ttlSeconds: 60, key: (request) => String(request.headers['x-tenant']), cache })
    // Its tags are unknown, so the outer cache could not be invalidated by them.
    const failing = cacheResponse({ ttlSeconds: 60, tags: (request) => request.get('x-tags')!.split(','), cache })
    site.answers((request, response) => {
      const inner = { '/keyed': keyed, '/failing': failing }[request.path] ?? within
      void inner(request, response, () => response.send(`${String(request.headers['x-tenant'])} ${++calls}`))
    })
    expect((await site.get('/')).body).toBe('undefined 1')
    expect((await site.get('/')).body).toBe('undefined 1')
    await cache.invalidateTags(['within'])
    expect((await site.get('/')).body).toBe('undefined 2')
    await site.pass(6)
    expect((await site.get('/')).body).toBe('undefined 3')
    for (const [tenant, body] of [
      ['ann', 'ann 4'],
      ['bob', 'bob 5'],
      ['ann', 'ann 4'],
    ] as const) {
      expect((await site.get('/keyed', { 'X-Tenant': tenant })).body).toBe(body)
    }
    for (const body of ['undefined 6', 'undefined 7']) expect((await site.get('/failing')).body).toBe(body)
  })
})

describe('fields of proxies, and fields by which frameworks render pages differently', () => {
  const FIELDS = [
    'x-forwarded-proto',
    'x-forwarded-scheme',
    'x-forwarded-port',
    'x-forwarded-prefix',
    'x-forwarded-path',
    'x-forwarded-server',
    'x-forwarded-for',
    'x-original-url',
    'x-original-host',
    'x-rewrite-url',
    'x-host',
    'forwarded',
    'client-ip',
    'x-proxyuser-ip',
    'wl-proxy-client-ip',
    'x-nuxt-no-ssr',
    'x-react-router-spa-mode',
    'x-sveltekit-action',
    'x-prerender-revalidate',
    'x-middleware-prefetch',
    'hx-trigger',
    'x-up-version',
    'next-url',
    'accept-version',
    'prefer',
    'x-lang',
    'x-api-version',
  ]
  it.each(FIELDS)('%s of one client decides nothing for the others', async (name) => {
    await using site = await openSite({ ttlSeconds: 60 })
    site.answers((request, response) => response.send(`at ${String(request.headers[name])}`))
    const value = name === 'forwarded' ? 'proto=evil' : 'evil'
    expect((await site.get('/', { [name]: value })).body).toBe(`at ${value}`)
    expect((await site.get('/')).body).toBe('at undefined')
    expect((await site.get('/', { [name]: value })).body).toBe(`at ${value}`)
    expect(site.calls.length).toBeLessThanOrEqual(3)
  })

  it('of proxies make no difference behind a proxy that is trusted, as far as they name clients', async () => {
    await using site = await openSite({ ttlSeconds: 60, before: (app) => app.set('trust proxy', 1) })
    const from = (address: string) => ({
      'X-Forwarded-For': address,
      'X-Forwarded-Proto': 'https',
      Forwarded: `for=${address};proto=https`,
    })
    await site.get('/', from('192.0.2.1'))
    expect((await site.get('/', from('192.0.2.2'))).isHit).toBe(true)
  })
})
