import { MemcacheOptionError } from 'memcache-ts-protocol'

/** The least and the greatest value of an option. */
export type Range = readonly [min: number, max: number]

/** @throws MemcacheOptionError if the value is no whole number of the range. */
export function requireWhole(name: string, value: number, [min, max]: Range): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new MemcacheOptionError(`${name} must be a whole number from ${min} to ${max}, got ${value}`)
}
