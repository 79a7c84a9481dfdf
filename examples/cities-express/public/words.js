const countries = new Intl.DisplayNames('en', { type: 'region', fallback: 'code' })
const whole = new Intl.NumberFormat('en')

export const count = (number) => whole.format(number)
export const country = (code) => countries.of(code)
export const kilometres = (km) => `${km < 10 ? km.toFixed(1) : Math.round(km)} km`
export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

/** 38.717, -9.133 as it is written on a chart: 38.72° N, 9.13° W. */
export function position({ lat, lon }) {
  return `${Math.abs(lat).toFixed(2)}° ${lat < 0 ? 'S' : 'N'}, ${Math.abs(lon).toFixed(2)}° ${lon < 0 ? 'W' : 'E'}`
}

/**
 * `517802`, `517,802`, `517 802` or `517.802` as a number; `undefined` for what is no whole number, as `1,5` is none,
 * and for two kinds of separators, as in `1,234.567`.
 */
export function wholeNumber(text) {
  return /^\s*(\d+|\d{1,3}([\s,.])\d{3}(\2\d{3})*)\s*$/.test(text) ? Number(text.replaceAll(/[\s,.]/g, '')) : undefined
}
