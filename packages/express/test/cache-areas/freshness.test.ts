import { describe } from 'vitest'
import { fresh, inSeconds, notStored, scenario, stored } from './scenario.ts'
import type { Step } from './scenario.ts'

/** Steps for a response with these fields, and for a request three seconds later. */
function says(fields: NonNullable<Step['says']>, then: Step): readonly Step[] {
  return [{ says: fields, thenSeconds: 3 }, then]
}

describe('Cache-Control of responses', () => {
  scenario('without any lifetime a response is not reused', says({}, notStored))
  scenario('max-age', says({ 'Cache-Control': 'max-age=3600' }, stored))
  scenario('max-age that is over', says({ 'Cache-Control': 'max-age=2' }, notStored))
  scenario('max-age=0', says({ 'Cache-Control': 'max-age=0' }, notStored))
  scenario('s-maxage', says({ 'Cache-Control': 's-maxage=3600' }, stored))
  scenario('s-maxage over a longer max-age', says({ 'Cache-Control': 'max-age=3600, s-maxage=1' }, notStored))
  scenario('s-maxage over a shorter max-age', says({ 'Cache-Control': 'max-age=1, s-maxage=3600' }, stored))
  scenario('several lines', says({ 'Cache-Control': ['max-age=3600', 's-maxage=1'] }, notStored))
  scenario('directives in any case', says({ 'Cache-Control': 'MaX-aGe=3600' }, stored))
  scenario('unknown directives', says({ 'Cache-Control': 'foobar, max-age=3600' }, stored))
  scenario('a number in quotes', says({ 'Cache-Control': 'max-age="3600"' }, stored))
  scenario('leading zeros', says({ 'Cache-Control': 'max-age=003600' }, stored))
  scenario('more than 31 bits', says({ 'Cache-Control': 'max-age=2147483648' }, stored))
  scenario('more than 32 bits', says({ 'Cache-Control': 'max-age=99999999999' }, stored))
  for (const wrong of ["'3600'", 'a3600', '3600a', '-3600', '3600.0', '', ' 3600', '"36"00', '0x10']) {
    scenario(`max-age=${wrong} is stale`, says({ 'Cache-Control': `max-age=${wrong}` }, notStored))
  }
  scenario('space before = makes another directive', says({ 'Cache-Control': 'max-age =3600' }, notStored))
  scenario('text in quotes is no directive', says({ 'Cache-Control': 'a="max-age=3600", max-age=1' }, notStored))
  scenario('nor behind one', says({ 'Cache-Control': 'max-age=1, a="max-age=3600, max-age=3600"' }, notStored))
  scenario('two that differ are stale', says({ 'Cache-Control': 'max-age=3600, max-age=1' }, notStored))
  scenario('two that are the same are one', says({ 'Cache-Control': 'max-age=3600, max-age=3600' }, stored))
  scenario('an Age over it', says({ 'Cache-Control': 'max-age=3600', Age: '7200', Date: inSeconds(0) }, notStored))
  scenario(
    'a past Expires does not count',
    says({ 'Cache-Control': 'max-age=3600', Expires: inSeconds(-10_000) }, stored),
  )
  scenario('nor an invalid date', says({ 'Cache-Control': 'max-age=3600', Expires: '0' }, stored))
  scenario(
    'max-age=0 over a future Expires',
    says({ 'Cache-Control': 'max-age=0', Expires: inSeconds(10_000) }, notStored),
  )
  scenario('private', says({ 'Cache-Control': 'private, max-age=3600' }, notStored))
  scenario('no-store beside other directives', says({ 'Cache-Control': 'No-StOrE, max-age=3600' }, notStored))
  scenario('no-cache', says({ 'Cache-Control': 'No-CaChE, max-age=3600' }, notStored))
  scenario(
    'no-cache for a field, and for all',
    says({ 'Cache-Control': 'no-cache="a", no-cache, max-age=9' }, notStored),
  )
  scenario('must-revalidate while fresh', says({ 'Cache-Control': 'max-age=3600, must-revalidate' }, stored))
  scenario(
    'must-understand, for a status that is',
    says({ 'Cache-Control': 'must-understand, no-store, max-age=9' }, stored),
  )
  scenario('no-cache with a validator is revalidated each time', [
    { says: { 'Cache-Control': 'no-cache', ETag: '"a"' } },
    { says: { 'Cache-Control': 'no-cache', ETag: '"a"' }, from: 'etag' },
    { says: { 'Cache-Control': 'no-cache', ETag: '"a"' }, from: 'etag', text: 'body' },
  ])
  scenario('fields that no-cache and private name are left out', [
    fresh({ 'Cache-Control': 'max-age=60, no-cache="a, b", private="C"', a: '1', b: '2', c: '3', d: '4' }),
    { ...stored, with: { a: undefined, b: undefined, c: undefined, d: '4' } },
  ])
})

describe('Expires', () => {
  const far = '18 Aug 2050 02:01:18'
  scenario('in the future', says({ Expires: inSeconds(3600), Date: inSeconds(0) }, stored))
  scenario('in the past', says({ Expires: inSeconds(-3600), Date: inSeconds(0) }, notStored))
  scenario('now', says({ Expires: inSeconds(0), Date: inSeconds(0) }, notStored))
  scenario('before Date, both ahead', says({ Expires: inSeconds(300), Date: inSeconds(400) }, notStored))
  scenario('with an invalid Date', says({ Expires: inSeconds(10), Date: 'foo' }, stored))
  scenario('under Age, Date behind', says({ Expires: inSeconds(10), Date: inSeconds(-10), Age: '25' }, notStored))
  scenario('under Age, Date ahead', says({ Expires: inSeconds(20), Date: inSeconds(10), Age: '15' }, notStored))
  for (const date of [`THU, ${far} GMT`, `Thu, ${far.toUpperCase()} GMT`, `Thu, ${far} gMT`]) {
    scenario(`${date}, in any case`, says({ Expires: date }, stored))
  }
  scenario('in the format of RFC 850', says({ Expires: 'Thursday, 18-Aug-50 02:01:18 GMT' }, stored))
  scenario('in the format of asctime', says({ Expires: 'Thu Aug 18 02:01:18 2050' }, stored))
  for (const wrong of [
    '0',
    'foo',
    `Thu, ${far} UTC`,
    'Thu, 18 Aug 50 02:01:18 GMT',
    `Thu ${far} GMT`,
    'Thu, 18  Aug  2050 02:01:18 GMT',
    'Thu, 18-Aug-2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 02.01.18 GMT',
    'Thu, 18 Aug 2050 2:01:18 GMT',
  ]) {
    scenario(`'${wrong}' is the past`, says({ Expires: wrong }, notStored))
  }
})

describe('Age', () => {
  const about = { 'Cache-Control': 'max-age=3600', Date: inSeconds(0) }
  scenario('is added up', [
    { says: { ...about, Age: '30' }, thenSeconds: 3 },
    { ...stored, with: { age: '33' } },
  ])
  scenario('counts from Date if that is earlier', [
    { says: { ...about, Date: inSeconds(-100) }, thenSeconds: 3 },
    { ...stored, with: { age: /^10[34]$/ } },
  ])
  for (const [value, then] of [
    ['abc', stored],
    ['-7200', stored],
    ['7200.0', stored],
    ['7200,0', notStored],
    ['0,7200', stored],
    [['7200', '0'], notStored],
    [['0', '7200'], stored],
    ['7200, 7200', notStored],
  ] as const) {
    scenario(`${String(value)}: the first number counts`, says({ ...about, Age: value as string }, then))
  }
})

describe('heuristic freshness', () => {
  const day = { 'Last-Modified': inSeconds(-86_400), Date: inSeconds(0) }
  for (const status of [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]) {
    scenario(`${status} is reused by its Last-Modified`, [{ status, says: day }, stored])
  }
  for (const status of [201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599]) {
    scenario(`${status} is not`, [{ status, says: day }, notStored])
  }
  scenario('unless it says public', [{ status: 599, says: { ...day, 'Cache-Control': 'public' } }, stored])
  scenario('a tenth of its age', [{ says: { ...day, 'Last-Modified': inSeconds(-20) }, thenSeconds: 3 }, notStored])
  scenario('a day at most', [{ says: { ...day, 'Last-Modified': inSeconds(-1e8) }, thenSeconds: 86_401 }, notStored])
})

describe('statuses that are cacheable by default', () => {
  for (const status of [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]) {
    scenario(`${status} is stored`, [
      { ...fresh(), status },
      { ...stored, gets: status },
    ])
    scenario(`${status} is not reused stale`, [
      { status, says: { Expires: inSeconds(-5000), 'Last-Modified': inSeconds(-100_000), Date: inSeconds(0) } },
      notStored,
    ])
  }
})

describe('Pragma', () => {
  scenario('does not count in a response with Cache-Control', [fresh({ Pragma: 'no-cache' }), stored])
  scenario('is no-cache in one without', [{ says: { Expires: inSeconds(60), Pragma: 'no-cache' } }, notStored])
  scenario('is no-cache in a request without Cache-Control', [fresh(), { asks: { Pragma: 'no-cache' }, ...notStored }])
  scenario('does not count in one with', [
    fresh(),
    { asks: { Pragma: 'no-cache', 'Cache-Control': 'nothing-to-see-here' }, ...stored },
  ])
  scenario('with another value has no effect', [fresh({ Pragma: 'foo' }), { asks: { Pragma: 'foo' }, ...stored }])
})
