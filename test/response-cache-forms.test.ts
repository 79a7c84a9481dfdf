import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { FORM_NAMES, FORMS, openForm } from './forms/open-form.ts'
import type { FormName, PlainHandler } from './forms/open-form.ts'
import { sendHttp2 } from './forms/send-raw.ts'
import type { RawRequest } from './forms/send-raw.ts'

const FORWARDING = [
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-for',
  'x-forwarded',
  'x-original-url',
  'x-rewrite-url',
  'x-host',
  'x-vercel-forwarded-for',
  'x-azure-clientip',
  'forwarded',
  'upgrade',
  'cf-visitor',
  'x-nextjs-data',
  'x-requested-with',
  'hx-request',
  'turbo-frame',
  'rsc',
]

/** Responds with everything that frameworks make of a target, a host, and forwarding fields. */
const echo: PlainHandler = ({ method, url, originalUrl, query, host, protocol, field }) => {
  const fields = FORWARDING.map((name) => field(name))
  return { body: JSON.stringify({ method, url, originalUrl, query, host, protocol, fields }) }
}

const TARGETS = [
  '/a /a? /a?? //a ///a /./a /b/../a /%61 /%2e/a /a%00 /a;x=1 /a%3Bx=1 /A /a/ /a// /a%2f /a%2F /a\\',
  '/a%5c /a#x /a# /a?x=1#&y=2 /a?x=1;y=2 /a?x=1&amp;y=2 /a?x=1&x=2 /a?x=2&x=1 /a?x[]=1 /a?x%5B%5D=1',
  '/a?x=%31 /a?x=1 /a?x=1%00 /a?x=+ /a?x=%20 /a?&x=1 /a?x=1& http://evil.test/a',
].flatMap((line) => line.split(' '))
const FIELDS: [string, string][] = [
  ['Host', 'SHOP.test'],
  ['Host', 'shop.test.'],
  ['Host', 'shop.test:80'],
  ['X-Forwarded-Host', 'SHOP.test'],
  ['X-Forwarded-Host', 'evil.test'],
  ['X-Forwarded-Host', 'shop.test, evil.test'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Forwarded', '1.2.3.4'],
  ['X-Vercel-Forwarded-For', '1.2.3.4'],
  ['X-Azure-ClientIP', '1.2.3.4'],
  ['X-Host', 'evil.test'],
  ['CF-Visitor', '{"scheme":"http"}'],
  ['X-Nextjs-Data', '1'],
  ['X-Requested-With', 'XMLHttpRequest'],
  ['HX-Request', 'true'],
  ['Turbo-Frame', 'list'],
  ['RSC', '1'],
  ['X-Original-URL', '/admin'],
  ['Forwarded', 'host=SHOP.test'],
  ['Forwarded', 'host = evil.test'],
  ['Forwarded', 'for=1.2.3.4;HOST="evil.test"'],
  ['Upgrade', 'websocket'],
  ['Upgrade', 'h2c, websocket'],
]

/** Queries in which parsers find different parameters, or the same by other names. */
const HIDING_QUERIES = [
  '?utm=1;a=2 ?utm=1#&a=2 ?utm=1&amp;a=2 ?utm[=a]=2 ?utm=[a]=2 ?utm%00=1&a=2 ?%75tm=1 ?utm[a]=1',
  '?[utm]=1 ?utm ?utm=1?a=2 ?x+y=1 ?x%20y=1 ?utm=%26a=2 ?utm=1%0a&a=2 ?utm=1&a=2;b=3 ?UTM=1 ?a=2&utm=\\',
  '?f[p]=1&a=2 ?f[p]=1&f[q]=2 ?utm.a=2 ?&utm=1 ?utm=1&',
].flatMap((line) => line.split(' '))
const EXPECT = [
  ['Expect', '100-continue'],
  ['Content-Type', 'text/plain'],
] as const
const NORMAL_QUERIES = ['', '?a=2', '?a=2;b=3', '?f[q]=2']

/** A path that is changed, and one that is then invalid. */
const SAME_ROUTES = [
  ['/a', '/a/'],
  ['/A', '/a'],
  ['/a//', '/a'],
  ['/a', '/a;x=1'],
  ['/%61', '/a'],
  ['/a%21', '/a!'],
  ['/st%c3%a4dte', '/ST%C3%A4DTE'],
  ['/a%', '/A%'],
  ['http://shop.test/a?b', '/a'],
  ['http://shop.test', '/'],
  ['/b', '/moved'],
  ['//b/c', '/moved'],
] as const

type Known = IncomingMessage & Record<string, unknown>

/** A way by which an application knows its users: what is set before the cache, and what its handler reads. */
interface Kind {
  readonly set: (request: Known, user: string | undefined) => void
  readonly read: (request: Known) => unknown
}

/** Fastify's request contains Node's. */
const nodeRequest = (request: object): Known => ((request as { raw?: Known }).raw ?? request) as Known
const userOf = (request: Known): string | undefined => request.headers['x-test-user'] as string | undefined
const sessionUser = ({ session }: Known): unknown => (session as { user?: unknown } | undefined)?.user

const KINDS: Record<string, Kind> = {
  ...Object.fromEntries(
    ['user', 'userId', 'auth', 'account', 'token', 'principal'].map((name): [string, Kind] => [
      name,
      { set: (request, user) => void (request[name] = user), read: (request) => request[name] },
    ]),
  ),
  'user-getter-that-throws': {
    set: (request, user) =>
      void Object.defineProperty(request, 'user', {
        get: () => {
          if (user === undefined) throw new Error('nobody')
          return user
        },
      }),
    read: (request) => {
      try {
        return request['user']
      } catch {
        return 'nobody'
      }
    },
  },
  'session-that-cannot-be-watched': {
    set: (request, user) => void Object.defineProperty(request, 'session', { value: { user } }),
    read: sessionUser,
  },
  'session-getter-of-all-requests': {
    set: (request, user) => inherit(request, { session: { configurable: true, get: () => ({ user }) } }),
    read: sessionUser,
  },
  'session-of-all-requests': {
    set: (request, user) => inherit(request, { session: { configurable: true, writable: true, value: { user } } }),
    read: sessionUser,
  },
  'user-of-the-handler': {
    set: () => {},
    read: (request) => (request['user'] = userOf(request)),
  },
  'user-who-logs-out': {
    set: () => {},
    read: (request) => {
      const user = (request['user'] = userOf(request))
      delete request['user']
      return user
    },
  },
}

function inherit(request: Known, properties: PropertyDescriptorMap): void {
  Object.setPrototypeOf(request, Object.create(Object.getPrototypeOf(request) as object, properties) as object)
}

function requestsFor(name: FormName): RawRequest[] {
  const requests: RawRequest[] = [
    ...TARGETS.map((target) => ({ target })),
    ...FIELDS.map((field) => ({ target: '/a', fields: [field] })),
  ]
  return requests.filter((request) => canSend(name, request))
}

/** HTTP/2 has neither targets in absolute form nor `Upgrade`. */
function canSend(name: FormName, { target, fields = [] }: RawRequest): boolean {
  return FORMS[name].send !== sendHttp2 || (target.startsWith('/') && fields[0]?.[0] !== 'Upgrade')
}

/** Faults of an application's functions. */
const FAULTS: Record<string, () => unknown> = {
  throws: () => {
    throw new Error('a bug')
  },
  'throws nothing': () => {
    // oxlint-disable-next-line typescript/only-throw-error -- as careless code does
    throw undefined
  },
  'is a promise': () => Promise.resolve('all'),
  'is a promise that rejects': () => Promise.reject(new Error('a bug')),
  'is a promise that never settles': () => new Promise(() => {}),
  'is an object': () => ({ id: 1 }),
  'is a list of no texts': () => [undefined],
  'is a symbol': () => Symbol('all'),
  'is NaN': () => NaN,
  'is null': () => null,
  'is no Unicode': () => '\ud800',
}
/** Whatever is no promise counts as true or false; no tags are none. */
const FAULTS_OF: Record<string, readonly string[]> = {
  key: Object.keys(FAULTS),
  tags: Object.keys(FAULTS).filter((fault) => fault !== 'is null'),
  condition: Object.keys(FAULTS).filter((fault) => /throws|promise/.test(fault)),
}

describe.each(FORM_NAMES)('%s', (name) => {
  it('responds to each target, host and forwarding field as it would without a cache, in any order', async () => {
    await using site = await openForm(name, echo)
    await using plain = await openForm(name, echo, { isCached: false })
    const requests = requestsFor(name)
    for (const round of [requests, requests.toReversed()]) {
      for (const request of round) {
        const [got, expected] = [await site.send(request), await plain.send(request)]
        expect([got.status, got.body], JSON.stringify(request)).toEqual([expected.status, expected.body])
      }
    }
    expect((await site.send({ target: '/a' })).fields['cache-status']).toContain('hit')
  })

  it("gives no request the content of another request's ignored parameter", async () => {
    const options = { ignoreQuery: ['utm', 'x y', 'f[p]'], sortQuery: true }
    await using site = await openForm(name, echo, { options })
    await using plain = await openForm(name, echo, { isCached: false })
    const expected = new Map<string, string>()
    for (const query of NORMAL_QUERIES) expected.set(query, (await plain.send({ target: `/path${query}` })).body)
    for (const [index, hiding] of HIDING_QUERIES.entries()) {
      await site.send({ target: `/path${index}${hiding}` })
      for (const query of NORMAL_QUERIES) {
        const { body } = await site.send({ target: `/path${index}${query}` })
        expect(body.replaceAll(`/path${index}`, '/path'), `${query} after ${hiding}`).toBe(expected.get(query))
      }
    }
  })

  it('invalidates all paths that a router may treat alike by an unsafe request, and its Location', async () => {
    let calls = 0
    await using site = await openForm(name, ({ method }) => {
      if (method === 'POST') return { status: 201, fields: { Location: '/moved' }, body: '' }
      return { body: String(++calls) }
    })
    for (const [changed, cached] of SAME_ROUTES.filter(([target]) => canSend(name, { target }))) {
      const before = (await site.send({ target: cached })).body
      expect((await site.send({ target: cached })).body, cached).toBe(before)
      const { status } = await site.send({ target: changed, method: 'POST' })
      // Some routers refuse a target in absolute form, or a path that cannot be decoded.
      if (status !== 201) expect(changed).toMatch(/^http|%$/)
      else expect((await site.send({ target: cached })).body, `${cached} after ${changed}`).not.toBe(before)
    }
  })

  it('lets each handler respond, stores nothing, and counts an error if a function of its options fails', async () => {
    let at = { option: '', fault: '' }
    const call = (option: string, fine: unknown) => () => (at.option === option ? FAULTS[at.fault]!() : fine)
    const options = {
      key: call('key', 'one') as () => string,
      tags: call('tags', ['all']) as () => string[],
      condition: call('condition', true) as () => boolean,
    }
    let calls = 0
    await using site = await openForm(name, ({ method }) => ({ body: `${method} ${++calls}` }), { options })
    await site.send({ target: '/a' })
    expect((await site.send({ target: '/b' })).body).toBe('GET 1')
    for (const [option, faults] of Object.entries(FAULTS_OF)) {
      for (const fault of faults) {
        at = { option, fault }
        const errors = site.cache.stats().cacheErrors
        for (const target of ['/a', '/b']) {
          const { status, body } = await site.send({ target })
          expect([status, body], `${option} ${fault}`).toEqual([200, `GET ${calls}`])
        }
        expect(site.cache.stats().cacheErrors, `${option} ${fault}`).toBe(errors + 2)
        // Nothing is called for a request that is never served from the cache.
        expect((await site.send({ target: '/c', method: 'POST' })).body).toBe(`POST ${calls}`)
        expect(site.cache.stats().cacheErrors).toBe(errors + 2)
      }
    }
    at = { option: '', fault: '' }
    expect((await site.send({ target: '/c' })).body).toBe('GET 1')
  })

  /** A Fetch handler has neither a request object that knows its user, nor a response that sends 1xx. */
  const ofNodeResponse = name.startsWith('cacheFetch') ? () => {} : it
  ofNodeResponse('gives nobody what was made for a user, however the user is known', async () => {
    await using site = await openForm(
      name,
      ({ request, field }) => {
        const { read } = KINDS[field('x-test-kind')!]!
        return { body: `made for ${String(read(nodeRequest(request)))}`, fields: { ETag: '"one"' } }
      },
      { before: (request) => KINDS[String(request.headers['x-test-kind'])]!.set(request, userOf(request)) },
    )
    for (const kind of Object.keys(KINDS)) {
      for (const user of ['ann', undefined, 'bob']) {
        const fields: [string, string][] = [['X-Test-Kind', kind]]
        if (user !== undefined) fields.push(['X-Test-User', user])
        const { status, body } = await site.send({ target: `/${kind}`, fields })
        expect([status, body], kind).toEqual([200, expect.stringMatching(`^made for (?:${user}|undefined|nobody)$`)])
      }
    }
  })

  ofNodeResponse('passes 100, 102 and 103 on, and stores none of them', async () => {
    let calls = 0
    await using site = await openForm(name, async ({ raw, method }) => {
      calls++
      const response = raw as ServerResponse & { writeProcessing?: () => void }
      response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' })
      await new Promise(setImmediate)
      response.writeProcessing?.()
      return { body: `${method} page`, fields: { ETag: '"one"', 'Cache-Control': 'max-age=60, must-revalidate' } }
    })
    const isOf2 = FORMS[name].send === sendHttp2
    const early = isOf2 ? [103] : [103, 102]
    const got = await Promise.all([1, 2, 3].map(() => site.send({ target: '/a' })))
    for (const { status, body } of got) expect([status, body]).toEqual([200, 'GET page'])
    expect(got.filter(({ early: statuses }) => statuses.length > 0).map((each) => each.early)).toEqual(
      Array.from({ length: calls }, () => early),
    )
    expect(await site.send({ target: '/a' })).toMatchObject({ status: 200, body: 'GET page', early: [] })
    // Revalidated: the handler's own response is withheld, and what comes before it is not.
    const again = await site.send({
      target: '/a',
      fields: [
        ['Cache-Control', 'no-cache'],
        ['If-None-Match', '"one"'],
      ],
    })
    expect(again).toMatchObject({ status: 304, body: '', early })
    const posted = await site.send({ target: '/a', method: 'POST', content: 'x', fields: EXPECT })
    expect(posted).toMatchObject({ status: 200, body: 'POST page', early: [100, ...early] })
  })
})
