import { describe } from 'vitest'
import { fresh, inSeconds, notStored, scenario, soonStale, stored } from './scenario.ts'
import type { Step } from './scenario.ts'

describe('If-None-Match', () => {
  for (const tag of ['"abcdef"', 'W/"abcdef"', '""', '"a,b"']) {
    scenario(`${tag} is 304, with the tag`, [
      fresh({ ETag: tag }),
      {
        asks: { 'If-None-Match': tag },
        ...stored,
        gets: 304,
        text: '',
        with: { etag: tag, 'content-length': undefined },
      },
    ])
  }
  for (const list of ['"abcdef", "1234", "5678"', '"1234", "abcdef"', '"1234","5678", W/"abcdef"', '*']) {
    scenario(`${list} is 304`, [fresh({ ETag: '"abcdef"' }), { asks: { 'If-None-Match': list }, ...stored, gets: 304 }])
  }
  for (const other of ['"abcdeF"', '"abc"', 'abcdefg', '']) {
    scenario(`${other} is 200`, [
      fresh({ ETag: '"abcdef"' }),
      { asks: { 'If-None-Match': other }, ...stored, gets: 200 },
    ])
  }
  scenario('comes before If-Modified-Since', [
    fresh({ ETag: '"a"', 'Last-Modified': inSeconds(-5000) }),
    {
      asks: { 'If-None-Match': '"b"', 'If-Modified-Since': new Date(2_000_000_000_000).toUTCString() },
      ...stored,
      gets: 200,
    },
  ])
  scenario('is served here if nothing is stored: the handler sends the whole response', [
    {
      ...fresh({ ETag: '"a"', 'Content-Type': 'text/css', 'Content-Language': 'en', 'Content-Length': '4' }),
      asks: { 'If-None-Match': '"a"' },
      from: 'handler',
      gets: 304,
      text: '',
      with: { etag: '"a"', 'content-type': undefined, 'content-length': undefined },
    },
    {
      ...stored,
      gets: 200,
      text: 'body',
      with: { 'content-type': 'text/css', 'content-language': 'en', 'content-length': '4' },
    },
  ])
  scenario('is nothing to an error', [
    { ...fresh({ ETag: '"a"' }), status: 404 },
    { asks: { 'If-None-Match': '"a"' }, ...stored, gets: 404 },
  ])
})

describe('If-Modified-Since', () => {
  const modified = 1_799_990_000_000
  const at = (seconds: number): string => new Date(modified + seconds * 1000).toUTCString()
  const response = fresh({ 'Last-Modified': at(0) })
  scenario('the same', [response, { asks: { 'If-Modified-Since': at(0) }, ...stored, gets: 304 }])
  scenario('later', [response, { asks: { 'If-Modified-Since': at(100) }, ...stored, gets: 304 }])
  scenario('earlier', [response, { asks: { 'If-Modified-Since': at(-1) }, ...stored, gets: 200 }])
  scenario('no date', [response, { asks: { 'If-Modified-Since': 'foo' }, ...stored, gets: 200 }])
  scenario('in the format of RFC 850', [
    response,
    { asks: { 'If-Modified-Since': 'Friday, 15-Jan-27 05:13:20 GMT' }, ...stored, gets: 304 },
  ])
  scenario('by Date, without Last-Modified', [
    fresh({ Date: at(0) }),
    { asks: { 'If-Modified-Since': at(5) }, ...stored, gets: 304 },
  ])
  scenario('after a revalidation too', [
    soonStale({ 'Last-Modified': at(0) }),
    { ...fresh({ 'Last-Modified': at(0) }), asks: { 'If-Modified-Since': at(0) }, from: 'lastModified', gets: 304 },
    { ...stored, gets: 200, text: 'body' },
  ])
})

describe('revalidation', () => {
  scenario('by a strong ETag', [soonStale({ ETag: '"a"' }), { ...fresh(), from: 'etag', text: 'body' }, stored])
  scenario('by a weak one', [soonStale({ ETag: 'W/"a"' }), { ...fresh(), from: 'etag', text: 'body' }, stored])
  scenario('by Last-Modified', [
    soonStale({ 'Last-Modified': inSeconds(-100) }),
    { ...fresh(), from: 'lastModified', text: 'body' },
    stored,
  ])
  scenario('that gets another response', [
    soonStale({ ETag: '"a"' }),
    { ...fresh({ ETag: '"b"' }), body: 'new', from: 'handler', text: 'new' },
    { ...stored, text: 'new', with: { etag: '"b"' } },
  ])
  scenario('with the fields of its Vary', [
    { ...soonStale({ ETag: '"a"', Vary: 'Abc' }), asks: { Abc: '123' } },
    { ...fresh({ ETag: '"a"', Vary: 'Abc' }), asks: { Abc: '123' }, from: 'etag' },
  ])
  scenario('of a response that must be revalidated, even if it was fresh', [
    { says: { 'Cache-Control': 'max-age=2, must-revalidate', ETag: '"a"' } },
    { ...stored, thenSeconds: 3 },
    { ...fresh(), from: 'etag' },
  ])
  scenario('a day later still', [
    { ...soonStale({ ETag: '"a"' }), thenSeconds: 80_000 },
    { ...fresh(), from: 'etag', text: 'body' },
  ])
  scenario('that says no-store is the end of it', [
    soonStale({ ETag: '"a"' }),
    { says: { 'Cache-Control': 'no-store' }, from: 'etag', text: 'body' },
    notStored,
  ])
})

describe('the fields of a 304', () => {
  scenario('does not remove fields that it omits', [
    soonStale({ ETag: '"a"', 'Test-Header': 'A' }),
    { ...fresh({ ETag: '"a"' }), from: 'etag', with: { 'test-header': 'A' } },
    { ...stored, with: { 'test-header': 'A' } },
  ])
  for (const [name, before, after] of [
    ['Test-Header', 'A', 'B'],
    ['X-Test-Header', 'A', 'B'],
    ['Content-Foo', 'A', 'B'],
    ['Content-Type', 'text/plain', 'text/plain;charset=utf-8'],
    ['Content-MD5', 'rL0Y20zC+Fzt72VPzMSk2A==', 'N7UdGUp1E+RbVvZSTy1R8g=='],
    ['Content-Location', '/foo', '/bar'],
    ['Content-Security-Policy', "default-src 'self'", "default-src 'self' cdn.example.com"],
    ['X-Frame-Options', 'deny', 'sameorigin'],
    ['Cache-Control', 'max-age=1', 'max-age=3600'],
    ['Clear-Site-Data', 'cache', 'cookies'],
  ] as const) {
    for (const [from, validator, value] of [
      ['etag', 'ETag', '"a"'],
      ['lastModified', 'Last-Modified', 'Fri, 15 Jan 2027 05:13:20 GMT'],
    ] as const) {
      const says = (value: string, seconds: number): Step['says'] => ({
        'Cache-Control': `max-age=${seconds}`,
        Date: inSeconds(0),
        [validator]: value,
      })
      scenario(`updates ${name}, by ${validator}`, [
        { says: { ...says(value, 1), [name]: before }, thenSeconds: 3 },
        { says: { ...says(value, 3600), [name]: after }, from, with: { [name]: after }, thenSeconds: 3 },
        { ...stored, with: { [name]: after } },
      ])
    }
  }
  scenario('is new if there was none', [
    soonStale({ ETag: '"a"' }),
    { ...fresh({ ETag: '"a"', New: '1' }), from: 'etag', with: { new: '1' } },
    { ...stored, with: { new: '1' } },
  ])
  scenario('does not make the content another', [
    soonStale({ ETag: '"a"', 'Content-Encoding': 'identity' }),
    { ...fresh({ ETag: '"a"', 'Content-Encoding': 'gzip' }), from: 'etag', with: { 'content-encoding': 'identity' } },
    { ...stored, text: 'body', with: { 'content-length': '4' } },
  ])
})
