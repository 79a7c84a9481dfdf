const DIGIT_ZERO = 48
const DIGIT_NINE = 57
const TWO_32 = 0x1_0000_0000
/** Below this, `value * 10 + digit` is exact in a double. */
const EXACT_TIMES_TEN = 900_719_925_474_098

/**
 * An unsigned 64-bit number as two halves, so that counters and cas uniques are exact without allocating a BigInt per
 * operation. Instances are created once and reused.
 */
export class Uint64 {
  high = 0
  low = 0

  set(high: number, low: number): void {
    this.high = high >>> 0
    this.low = low >>> 0
  }

  copy(other: Uint64): void {
    this.high = other.high
    this.low = other.low
  }

  equals(other: Uint64): boolean {
    return this.low === other.low && this.high === other.high
  }

  get isZero(): boolean {
    return this.low === 0 && this.high === 0
  }

  isLessThan(other: Uint64): boolean {
    return this.high < other.high || (this.high === other.high && this.low < other.low)
  }

  /** Adds, and wraps at 2^64 like memcached's incr. */
  add(other: Uint64): void {
    const low = this.low + other.low
    this.high = (this.high + other.high + (low >= TWO_32 ? 1 : 0)) >>> 0
    this.low = low >>> 0
  }

  /** Subtracts, and stops at 0 like memcached's decr. */
  subtract(other: Uint64): void {
    if (this.isLessThan(other)) {
      this.set(0, 0)
      return
    }
    const low = this.low - other.low
    this.high = this.high - other.high - (low < 0 ? 1 : 0)
    this.low = low >>> 0
  }

  /** Adds 1, wrapping at 2^64. */
  increment(): void {
    this.low = (this.low + 1) >>> 0
    if (this.low === 0) this.high = (this.high + 1) >>> 0
  }

  setBigInt(value: bigint): void {
    this.set(Number((value >> 32n) & 0xffff_ffffn), Number(value & 0xffff_ffffn))
  }

  toBigInt(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low)
  }

  /** Parses decimal digits; returns false, and leaves 0, unless all of them are a number under 2^64. */
  parse(buffer: Uint8Array, start: number, end: number): boolean {
    this.high = 0
    this.low = 0
    if (start >= end) return false
    let at = start
    let value = 0
    while (at < end && value < EXACT_TIMES_TEN) {
      const digit = buffer[at]!
      if (digit < DIGIT_ZERO || digit > DIGIT_NINE) return false
      value = value * 10 + (digit - DIGIT_ZERO)
      at++
    }
    let high = Math.floor(value / TWO_32)
    let low = value >>> 0
    for (; at < end; at++) {
      const digit = buffer[at]!
      if (digit < DIGIT_ZERO || digit > DIGIT_NINE) return false
      const nextLow = low * 10 + (digit - DIGIT_ZERO)
      high = high * 10 + Math.floor(nextLow / TWO_32)
      if (high >= TWO_32) return false
      low = nextLow >>> 0
    }
    this.high = high
    this.low = low
    return true
  }

  /** Writes the decimal digits at `at`, at most 20 bytes; returns the position after them. */
  write(buffer: Uint8Array, at: number): number {
    if (this.high === 0) return writeUint(buffer, at, this.low)
    if (this.high < 0x20_0000) return writeUint(buffer, at, this.high * TWO_32 + this.low)
    // Divides by 10 in two halves, so that every remainder is exact in a double.
    let high = this.high
    let low = this.low
    let scale = at + decimalDigits(this)
    const end = scale
    while (high > 0 || low > 0) {
      const highRemainder = high % 10
      high = Math.floor(high / 10)
      const rest = highRemainder * TWO_32 + low
      low = Math.floor(rest / 10)
      buffer[--scale] = DIGIT_ZERO + (rest % 10)
    }
    return end
  }
}

/** Returns the number of digits of a number from 2^53 on. */
function decimalDigits(value: Uint64): number {
  // 10^16, 10^17, 10^18 and 10^19 as halves.
  if (value.high > 2_328_306_436 || (value.high === 2_328_306_436 && value.low >= 2_313_682_944)) return 20
  if (value.high > 232_830_643 || (value.high === 232_830_643 && value.low >= 2_808_348_672)) return 19
  if (value.high > 23_283_064 || (value.high === 23_283_064 && value.low >= 1_569_325_056)) return 18
  if (value.high > 2_328_306 || (value.high === 2_328_306 && value.low >= 1_874_919_424)) return 17
  return 16
}

/** Writes a whole number under 2^53 in decimal at `at`; returns the position after it. */
export function writeUint(buffer: Uint8Array, at: number, value: number): number {
  if (value < 10) {
    buffer[at] = DIGIT_ZERO + value
    return at + 1
  }
  let end = at + 1
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end++
  let rest = value
  let position = end
  // The integer path is several times faster, and nearly all numbers take it.
  while (rest > 0x7fff_ffff) {
    const quotient = Math.floor(rest / 10)
    buffer[--position] = DIGIT_ZERO + (rest - quotient * 10)
    rest = quotient
  }
  let small = rest | 0
  while (position > at) {
    const quotient = (small / 10) | 0
    buffer[--position] = DIGIT_ZERO + (small - quotient * 10)
    small = quotient
  }
  return end
}
