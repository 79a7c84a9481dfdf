import { describe } from 'vitest'
import { fresh, inSeconds, notStored, scenario, soonStale, stored } from './scenario.ts'
import type { Step } from './scenario.ts'

describe('Vary', () => {
  const by = (vary: string | string[], asks: Step['asks'] = {}): Step => ({ ...fresh({ Vary: vary }), asks })
  scenario('the same value', [by('Foo', { Foo: '1' }), { asks: { Foo: '1' }, ...stored }])
  scenario('another value', [by('Foo', { Foo: '1' }), { asks: { Foo: '2' }, ...notStored }])
  scenario('no value', [by('Foo', { Foo: '1' }), notStored])
  scenario('a value, stored without one', [by('Foo'), { asks: { Foo: '1' }, ...notStored }])
  scenario('an empty value differs from a missing one', [by('Foo'), { asks: { Foo: '' }, ...notStored }])
  scenario('variants live side by side', [
    { ...by('Foo', { Foo: '1' }), body: 'one' },
    { ...by('Foo', { Foo: '2' }), body: 'two', ...notStored },
    { asks: { Foo: '1' }, ...stored, text: 'one' },
    { asks: { Foo: '2' }, ...stored, text: 'two' },
  ])
  scenario('fields that it does not name', [
    by('Foo', { Foo: '1', Other: '2' }),
    { asks: { Foo: '1', Other: '3' }, ...stored },
  ])
  scenario('names in any case', [
    by('fOO', { Foo: '1' }),
    { asks: { Foo: '1' }, ...stored },
    { asks: { Foo: '2' }, ...notStored },
  ])
  const three = { Foo: '1', Bar: 'abc', Baz: '789' }
  scenario('three fields', [by('Foo, Bar, Baz', three), { asks: three, ...stored }])
  scenario('three fields on several lines', [by(['Foo', 'Bar, Baz'], three), { asks: three, ...stored }])
  scenario('three fields, one of them another', [
    by('Foo, Bar, Baz', three),
    { asks: { ...three, Bar: 'abcd' }, ...notStored },
  ])
  scenario('three fields, one of them missing both times', [
    by('Foo, Bar, Baz', { Foo: '1', Baz: '789' }),
    { asks: { Foo: '1', Baz: '789' }, ...stored },
  ])
  scenario('values that would read the same when joined', [
    by('Foo, Bar', { Foo: 'a', Bar: 'b,c' }),
    { asks: { Foo: 'a,b', Bar: 'c' }, ...notStored },
  ])
  for (const star of ['*', '*, *', ['*', '*'], ', *', ['', '*'], '*, Foo', 'Foo, *']) {
    scenario(`${JSON.stringify(star)} is never the same`, [
      by(star, { Foo: '1' }),
      { asks: { Foo: '1' }, ...notStored },
    ])
  }
  scenario('space around commas', [by('Foo', { Foo: '1,2' }), { asks: { Foo: ' 1, 2 ' }, ...stored }])
  scenario('several lines are one', [by('Foo', { Foo: '1, 2' }), { asks: { Foo: ['1', '2'] }, ...stored }])
  scenario('order counts', [by('Foo', { Foo: '1, 2' }), { asks: { Foo: '2, 1' }, ...notStored }])
  scenario('but not that of languages, nor their case', [
    by('Accept-Language', { 'Accept-Language': 'en, DE;q=0.5' }),
    { asks: { 'Accept-Language': 'de; q=0.5,en' }, ...stored },
    { asks: { 'Accept-Language': 'de;q=0.6,en' }, ...notStored },
  ])
  scenario('more fields than it named before', [
    { ...by('Foo', { Foo: '1', Bar: 'a' }), thenSeconds: 0 },
    { ...by('Foo, Bar', { Foo: '2', Bar: 'a' }), body: 'two a', ...notStored },
    { ...by('Foo, Bar', { Foo: '2', Bar: 'b' }), body: 'two b', ...notStored, text: 'two b' },
    { ...by('Foo, Bar', { Foo: '2', Bar: 'a' }), body: 'two a', ...notStored, text: 'two a', thenSeconds: 11 },
    { asks: { Foo: '2', Bar: 'b' }, ...stored, text: 'two b' },
  ])
  scenario('more fields than none', [
    soonStale(),
    { ...by('Foo', { Foo: '1' }), body: 'one', ...notStored },
    { asks: { Foo: '1' }, ...stored, text: 'one' },
    { asks: { Foo: '2' }, body: 'two', ...notStored, text: 'two' },
  ])
})

describe('stale-if-error', () => {
  scenario('serves the stale response instead of an error', [
    { says: { 'Cache-Control': 'max-age=0, stale-if-error=3600' } },
    {
      status: 500,
      from: 'handler',
      gets: 200,
      text: 'body',
      with: { call: '1', 'cache-status': /fwd=stale; fwd-status=500/ },
    },
    { status: 503, from: 'handler', gets: 200 },
    { ...fresh(), body: 'new', from: 'handler', text: 'new' },
    { ...stored, text: 'new' },
  ])
  scenario('not when its time is over', [
    { says: { 'Cache-Control': 'max-age=0, stale-if-error=1' }, thenSeconds: 3 },
    { status: 500, ...notStored },
  ])
  scenario('as the request allows it', [
    { says: { 'Cache-Control': 'max-age=1', ETag: '"a"' }, thenSeconds: 3 },
    { asks: { 'Cache-Control': 'stale-if-error=3600' }, status: 500, from: 'handler', gets: 200 },
  ])
  scenario('not longer than the request allows it', [
    { says: { 'Cache-Control': 'max-age=0', ETag: '"a"' }, thenSeconds: 3 },
    { asks: { 'Cache-Control': 'stale-if-error=1' }, status: 500, ...notStored },
  ])
  scenario('not without stale-if-error', [soonStale(), { status: 503, ...notStored }])
  scenario('not for a status under 500', [
    { says: { 'Cache-Control': 'max-age=0, stale-if-error=3600' } },
    { status: 404, ...notStored },
  ])
  for (const directive of ['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=2']) {
    scenario(`not against ${directive}`, [
      { says: { 'Cache-Control': `max-age=2, stale-if-error=60, ${directive}`, ETag: '"a"' }, thenSeconds: 3 },
      { status: 503, ...notStored },
    ])
    scenario(`nor stale while it is revalidated, against ${directive}`, [
      { says: { 'Cache-Control': `max-age=2, stale-while-revalidate=60, ${directive}` }, thenSeconds: 3 },
      notStored,
    ])
  }
})

describe('invalidation', () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH']) {
    scenario(`${method} that succeeds invalidates its URL`, [
      fresh(),
      { method, ...notStored },
      { ...notStored, text: 'body' },
    ])
    scenario(`${method} that redirects does too`, [fresh(), { method, status: 303, ...notStored }, notStored])
    scenario(`${method} that fails does not`, [fresh(), { method, status: 500, ...notStored }, stored])
    for (const field of ['Location', 'Content-Location']) {
      scenario(`${method} invalidates its ${field}`, [
        { ...fresh(), path: '/a/target' },
        { method, path: '/a/form', says: { [field]: 'target' }, ...notStored },
        { path: '/a/target', ...notStored },
      ])
    }
  }
  scenario('of another host does not', [
    { ...fresh(), path: '/target', asks: { Host: 'a.test' } },
    { method: 'POST', path: '/form', asks: { Host: 'a.test' }, says: { Location: 'http://b.test/target' } },
    { path: '/target', asks: { Host: 'a.test' }, ...stored },
  ])
  scenario('of the same host, in full, does', [
    { ...fresh(), path: '/target', asks: { Host: 'a.test' } },
    { method: 'POST', path: '/form', asks: { Host: 'a.test' }, says: { Location: 'http://a.test/target' } },
    { path: '/target', asks: { Host: 'a.test' }, ...notStored },
  ])
  scenario('takes all queries of its path', [
    { ...fresh(), path: '/list?page=2' },
    { method: 'POST', path: '/list' },
    { path: '/list?page=2', ...notStored },
  ])
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    scenario(`${method} invalidates nothing`, [fresh(), { method }, stored])
  }
})

describe('fields that are stored', () => {
  scenario('those of the connection and those that it names are not', [
    fresh({ Connection: 'a, b', a: '1', b: '2', c: '3', 'Keep-Alive': 'timeout=1', 'Proxy-Connection': 'close' }),
    { ...stored, with: { a: undefined, b: undefined, c: '3', 'proxy-connection': undefined } },
  ])
  for (const name of [
    'Test-Header',
    'Content-Type',
    'X-Frame-Options',
    'Clear-Site-Data',
    'Link',
    'Content-Disposition',
  ]) {
    scenario(`${name} is`, [fresh({ [name]: 'text/plain' }), { ...stored, with: { [name]: 'text/plain' } }])
  }
  for (const name of [
    'RateLimit',
    'RateLimit-Policy',
    'RateLimit-Remaining',
    'X-RateLimit-Limit',
    'Proxy-Authenticate',
  ]) {
    scenario(`${name} is not`, [fresh({ [name]: '1' }), { ...stored, with: { [name]: undefined } }])
  }
  scenario('Cache-Status of other caches is sent to the first client only', [
    {
      ...fresh({ 'Cache-Status': 'origin; hit' }),
      with: { 'cache-status': 'origin; hit, memcache-ts; fwd=uri-miss' },
    },
    { ...stored, with: { 'cache-status': 'memcache-ts; hit; ttl=100000' } },
  ])
  scenario('Date stays as it was', [
    { ...fresh(), thenSeconds: 3 },
    { ...stored, with: { date: new Date(1_800_000_000_500).toUTCString() } },
  ])
  scenario('several lines of a field', [fresh({ Link: ['<a>', '<b>'] }), { ...stored, with: { link: '<a>, <b>' } }])
  scenario('a Date ahead of the clock', [fresh({ Date: inSeconds(3600) }), { ...stored, with: { age: '0' } }])
})
