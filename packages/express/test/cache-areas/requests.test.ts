import { describe } from 'vitest'
import { fresh, inSeconds, notStored, scenario, soonStale, stored } from './scenario.ts'
import type { Step } from './scenario.ts'

describe('Cache-Control of requests', () => {
  scenario('no-store goes to the handler, and is not stored', [
    { ...fresh(), asks: { 'Cache-Control': 'no-store' } },
    { ...fresh(), ...notStored },
    { asks: { 'Cache-Control': 'no-store' }, ...notStored },
  ])
  scenario('no-cache', [fresh(), { ...fresh(), asks: { 'Cache-Control': 'no-cache' }, ...notStored }, stored])
  scenario('no-cache revalidates by ETag', [
    fresh({ ETag: '"a"' }),
    { asks: { 'Cache-Control': 'no-cache' }, ...fresh({ ETag: '"a"' }), from: 'etag', text: 'body' },
    stored,
  ])
  scenario('no-cache revalidates by Last-Modified', [
    fresh({ 'Last-Modified': inSeconds(-10_000) }),
    { asks: { 'Cache-Control': 'no-cache' }, ...fresh(), from: 'lastModified' },
    stored,
  ])
  scenario('max-age=0', [fresh(), { asks: { 'Cache-Control': 'max-age=0' }, ...notStored }])
  scenario('max-age under the age', [
    { says: { 'Cache-Control': 'max-age=3600', Age: '1800' } },
    { asks: { 'Cache-Control': 'max-age=600' }, ...notStored },
  ])
  scenario('max-age over the age', [
    { says: { 'Cache-Control': 'max-age=3600', Age: '1800' } },
    { asks: { 'Cache-Control': 'max-age=2000' }, ...stored },
  ])
  scenario('min-fresh over the remaining time', [
    { says: { 'Cache-Control': 'max-age=1500', Age: '1000' } },
    { asks: { 'Cache-Control': 'min-fresh=1000' }, ...notStored },
  ])
  scenario('min-fresh under it', [
    { says: { 'Cache-Control': 'max-age=1500' } },
    { asks: { 'Cache-Control': 'min-fresh=1000' }, ...stored },
  ])
  const stale: Step = { gets: 200, with: { call: '1', 'cache-status': 'memcache-ts; hit; ttl=-1' } }
  scenario('max-stale', [soonStale(), { asks: { 'Cache-Control': 'max-stale=1000' }, ...stale }])
  scenario('max-stale without a number', [soonStale(), { asks: { 'Cache-Control': 'max-stale' }, ...stale }])
  scenario('max-stale, but too stale', [
    { ...soonStale(), thenSeconds: 30 },
    { asks: { 'Cache-Control': 'max-stale=10' }, ...notStored },
  ])
  scenario('max-stale never against must-revalidate', [
    soonStale({ 'Cache-Control': 'max-age=2, must-revalidate' }),
    { asks: { 'Cache-Control': 'max-stale=1000' }, ...notStored },
  ])
  scenario('only-if-cached with nothing stored is 504', [
    { asks: { 'Cache-Control': 'only-if-cached' }, from: 'cache', gets: 504 },
  ])
  scenario('only-if-cached with something stored', [
    fresh(),
    { asks: { 'Cache-Control': 'only-if-cached' }, ...stored, gets: 200 },
  ])
  scenario('only-if-cached with something stale is 504', [
    soonStale(),
    { asks: { 'Cache-Control': 'only-if-cached' }, from: 'cache', gets: 504 },
  ])
})

describe('Authorization', () => {
  const asks = { Authorization: 'Basic QQ==' }
  const far = { Expires: inSeconds(1e6), Date: inSeconds(0) }
  scenario('is not stored', [{ asks, says: far }, notStored])
  scenario('is not stored for the same client either', [
    { asks, says: far },
    { asks, ...notStored },
  ])
  for (const directive of ['public', 's-maxage=3600', 'must-revalidate']) {
    const says = { 'Cache-Control': `max-age=3600, ${directive}` }
    scenario(`is stored with ${directive}, for all`, [{ asks, says }, stored, { asks, ...stored }])
  }
  scenario('revalidates a public response', [
    soonStale({ 'Cache-Control': 'max-age=2, public', ETag: '"a"' }),
    { asks, ...fresh({ 'Cache-Control': 'max-age=60, public', ETag: '"a"' }), from: 'etag', text: 'body' },
    stored,
  ])
  scenario('gets its own response if the stored one is for anonymous clients', [
    fresh(),
    { asks, ...notStored },
    stored,
  ])
})

describe('keys', () => {
  scenario('queries differ', [
    { ...fresh(), path: '/?test=1' },
    { path: '/?test=2', ...notStored },
  ])
  scenario('the same query', [
    { ...fresh(), path: '/?test=1' },
    { path: '/?test=1', ...stored },
  ])
  scenario('paths differ by case and by a slash at the end', [
    { ...fresh(), path: '/a' },
    { path: '/A', ...notStored },
    { path: '/a/', ...notStored },
  ])
})

describe('Set-Cookie and Cookie', () => {
  scenario('a response with Set-Cookie is not stored', [fresh({ 'Set-Cookie': 'a=b' }), notStored])
  scenario('a request with Cookie gets the handler', [fresh(), { asks: { Cookie: 'a=b' }, ...notStored }, stored])
})

describe('conditions for the origin', () => {
  for (const name of ['If-Match', 'If-Unmodified-Since']) {
    scenario(`${name} goes to the handler`, [fresh({ ETag: '"a"' }), { asks: { [name]: '"b"' }, ...notStored }, stored])
  }
})

describe('HEAD', () => {
  scenario('is served from a GET, with its fields and its length', [
    fresh({ ETag: '"a"' }),
    { method: 'HEAD', ...stored, gets: 200, text: '', with: { etag: '"a"', 'content-length': '4' } },
  ])
  scenario('does not count as a GET for later requests', [
    { ...fresh(), method: 'HEAD' },
    { ...notStored, text: 'body' },
  ])
  scenario('continues as HEAD if the GET is stale', [soonStale(), { method: 'HEAD', from: 'handler', text: '' }])
})

describe('Range', () => {
  const ten = { ...fresh({ ETag: '"a"', 'Last-Modified': inSeconds(-100) }), body: '0123456789' }
  for (const [range, text, of] of [
    ['0-1', '01', '0-1'],
    ['1-', '123456789', '1-9'],
    ['-1', '9', '9-9'],
    ['-100', '0123456789', '0-9'],
    ['4-400', '456789', '4-9'],
  ] as const) {
    scenario(`bytes=${range} of a stored response`, [
      ten,
      {
        asks: { Range: `bytes=${range}` },
        ...stored,
        gets: 206,
        text,
        with: { 'content-range': `bytes ${of}/10`, 'content-length': String(text.length) },
      },
    ])
  }
  scenario('beyond the end is 416', [
    ten,
    { asks: { Range: 'bytes=10-' }, ...stored, gets: 416, with: { 'content-range': 'bytes */10' } },
  ])
  for (const range of ['bytes=5-2', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=-', 'nonsense']) {
    scenario(`${range} gets all of it`, [ten, { asks: { Range: range }, ...stored, gets: 200, text: '0123456789' }])
  }
  scenario('with If-Range of this version', [
    ten,
    { asks: { Range: 'bytes=0-1', 'If-Range': '"a"' }, ...stored, gets: 206 },
  ])
  for (const other of ['"b"', 'W/"a"', 'Thu, 18 Aug 2050 02:01:18 GMT']) {
    scenario(`with If-Range ${other} gets all of it`, [
      ten,
      { asks: { Range: 'bytes=0-1', 'If-Range': other }, ...stored, gets: 200 },
    ])
  }
  scenario('with nothing stored goes to the handler as it is, and is not stored', [
    {
      asks: { Range: 'bytes=0-1' },
      status: 206,
      says: { 'Cache-Control': 'max-age=3600', 'Content-Range': 'bytes 0-1/10' },
      body: '01',
      from: 'handler',
      text: '01',
    },
    { ...notStored, body: '0123456789', text: '0123456789' },
  ])
  scenario('206 is not stored for a request without Range either', [
    { status: 206, says: { 'Cache-Control': 'max-age=3600', 'Content-Range': 'bytes 0-1/10' } },
    notStored,
  ])
})
