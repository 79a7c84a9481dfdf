/** The constants that the rounds add: the integer parts of sines (RFC 1321, section 3.4). */
const SINES = Int32Array.from({ length: 64 }, (_, index) => Math.floor(Math.abs(Math.sin(index + 1)) * 2 ** 32))
const SHIFTS = Uint8Array.of(7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21)
const BLOCK_BYTES = 64
/** The length of the end mark and the text's length, which follow the text. */
const PADDING_BYTES = 9

const words = new Int32Array(16)
const block = new Uint8Array(words.buffer)
/** The digest of the last call, as four words. */
const digest = new Int32Array(4)
const scratch = Buffer.alloc(1024)

/**
 * Computes MD5 of a short text, for hashing keys like libmemcached, since node:crypto takes several times as long for
 * so few bytes. Not for security.
 *
 * @returns the digest as four little-endian words, overwritten by the next call.
 */
export function md5(text: string | Uint8Array): Int32Array {
  let bytes: Uint8Array = scratch
  let length: number
  if (typeof text === 'string') {
    if (text.length * 3 > scratch.length) bytes = Buffer.from(text)
    length = bytes === scratch ? writeText(text) : bytes.length
  } else {
    bytes = text
    length = text.length
  }
  digest[0] = 0x6745_2301
  digest[1] = 0xefcd_ab89
  digest[2] = 0x98ba_dcfe
  digest[3] = 0x1032_5476
  const blocks = Math.ceil((length + PADDING_BYTES) / BLOCK_BYTES)
  for (let index = 0; index < blocks; index++) {
    const from = index * BLOCK_BYTES
    words.fill(0)
    const take = Math.min(BLOCK_BYTES, length - from)
    for (let at = 0; at < take; at++) block[at] = bytes[from + at]!
    if (take < BLOCK_BYTES && take >= 0) block[take] = 0x80
    if (index === blocks - 1) words[14] = length * 8
    addBlock()
  }
  return digest
}

function writeText(text: string): number {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 127) return scratch.write(text, 0, 'utf8')
    scratch[index] = code
  }
  return text.length
}

function addBlock(): void {
  let a = digest[0]!
  let b = digest[1]!
  let c = digest[2]!
  let d = digest[3]!
  for (let step = 0; step < 64; step++) {
    const round = step >> 4
    let mixed: number
    let word: number
    if (round === 0) {
      mixed = (b & c) | (~b & d)
      word = step
    } else if (round === 1) {
      mixed = (d & b) | (~d & c)
      word = (5 * step + 1) & 15
    } else if (round === 2) {
      mixed = b ^ c ^ d
      word = (3 * step + 5) & 15
    } else {
      mixed = c ^ (b | ~d)
      word = (7 * step) & 15
    }
    const sum = (a + mixed + SINES[step]! + words[word]!) | 0
    const shift = SHIFTS[(round << 2) | (step & 3)]!
    a = d
    d = c
    c = b
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0
  }
  digest[0] = (digest[0]! + a) | 0
  digest[1] = (digest[1]! + b) | 0
  digest[2] = (digest[2]! + c) | 0
  digest[3] = (digest[3]! + d) | 0
}
