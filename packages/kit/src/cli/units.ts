const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const
const BYTE_STEP = 1024
const COUNT_UNITS = ['', 'k', 'M', 'G', 'T'] as const
const COUNT_STEP = 1000

/** Formats bytes: `64 MB`, in steps of 1024 like memcached's `-m`. */
export function bytesText(bytes: number): string {
  const [value, unit] = scaled(bytes, BYTE_STEP, BYTE_UNITS)
  return `${value} ${unit}`
}

/** Formats a count: `12.3k`. */
export function countText(count: number): string {
  return scaled(count, COUNT_STEP, COUNT_UNITS).join('')
}

/** Formats a share: `98.4 %`; `–` if the whole is 0. */
export function shareText(part: number, whole: number): string {
  return whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`
}

/** Formats seconds in the two largest units: `3 d 4 h`. */
export function durationText(seconds: number): string {
  if (seconds === Infinity) return 'never'
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first === -1) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

/** Formats milliseconds: `0.42 ms`. */
export function latencyText(ms: number): string {
  if (ms < 1) return `${ms.toFixed(2)} ms`
  return ms < 100 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}

function scaled(value: number, step: number, units: readonly string[]): [value: string, unit: string] {
  let rest = value
  let unit = 0
  while (Math.abs(rest) >= step && unit < units.length - 1) {
    rest /= step
    unit++
  }
  const digits = unit === 0 || Math.abs(rest) >= 100 ? 0 : 1
  return [rest.toFixed(Number.isInteger(value) || unit > 0 ? digits : 1), units[unit]!]
}
