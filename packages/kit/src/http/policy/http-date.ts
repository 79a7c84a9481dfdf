const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const DAY = '(?:mon|tue|wed|thu|fri|sat|sun)'
const LONG_DAY = '(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)'
const TIME = String.raw`(\d\d):(\d\d):(\d\d)`
const IMF_FIXDATE = new RegExp(String.raw`^${DAY}, (\d\d) ([a-z]{3}) (\d{4}) ${TIME} gmt$`, 'i')
const RFC_850 = new RegExp(String.raw`^${LONG_DAY}, (\d\d)-([a-z]{3})-(\d\d) ${TIME} gmt$`, 'i')
const ASCTIME = new RegExp(String.raw`^${DAY} ([a-z]{3}) ([ \d]\d) ${TIME} (\d{4})$`, 'i')

/** A year of two digits is within 50 years of now (RFC 9110, section 5.6.7). */
const NEAREST_YEARS = 50

/**
 * Parses an HTTP date in one of its three forms (RFC 9110, section 5.6.7) to milliseconds since 1970; `undefined` if it
 * is invalid, even if JavaScript would accept it.
 */
export function parseHttpDate(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined
  const fixed = IMF_FIXDATE.exec(text)
  if (fixed !== null) return dateOf([fixed[3]!, fixed[2]!, fixed[1]!], fixed.slice(4))
  const old = RFC_850.exec(text)
  if (old !== null) return dateOf([fullYear(Number(old[3]), nowMs), old[2]!, old[1]!], old.slice(4))
  const c = ASCTIME.exec(text)
  return c === null ? undefined : dateOf([c[6]!, c[1]!, c[2]!], c.slice(3, 6))
}

/** Formats a time as an HTTP date. */
export function toHttpDate(ms: number): string {
  return new Date(ms).toUTCString()
}

function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear()
  const year = Math.floor(thisYear / 100) * 100 + twoDigits
  return year > thisYear + NEAREST_YEARS ? year - 100 : year
}

type CalendarDate = readonly [year: string | number, month: string, day: string]

function dateOf([year, month, day]: CalendarDate, time: readonly string[]): number | undefined {
  const index = MONTHS.indexOf(month.toLowerCase())
  if (index === -1) return undefined
  const [hours, minutes, seconds] = time.map(Number)
  const ms = Date.UTC(Number(year), index, Number(day), hours, minutes, seconds)
  return Number.isNaN(ms) ? undefined : ms
}
