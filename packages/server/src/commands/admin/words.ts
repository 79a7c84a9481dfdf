const INTEGER = /^-?\d{1,10}$/
const UNSIGNED = /^\d{1,10}$/
const DECIMAL = /^[+-]?\d+(?:\.\d*)?$/

/** Reads a signed 32-bit number; `undefined` if the word is no such number. */
export function integer(word: string | undefined): number | undefined {
  if (word === undefined || !INTEGER.test(word)) return undefined
  const value = Number(word)
  return value >= -0x8000_0000 && value <= 0x7fff_ffff ? value : undefined
}

/** Reads an unsigned 32-bit number; `undefined` if the word is no such number. */
export function unsigned(word: string | undefined): number | undefined {
  if (word === undefined || !UNSIGNED.test(word)) return undefined
  const value = Number(word)
  return value <= 0xffff_ffff ? value : undefined
}

/** Reads a number with or without decimals; `undefined` if the word is no such number. */
export function decimal(word: string | undefined): number | undefined {
  return word !== undefined && DECIMAL.test(word) ? Number(word) : undefined
}
