import { Command } from '../command.ts'
import { HASH_SEED, finishHash, hashByte } from '../key-hash.ts'
import { MAX_KEY_BYTES } from '../limits.ts'
import { RequestError } from '../request.ts'
import type { Request } from '../request.ts'
import { endsWithNoreply, parseInt32, parseUint53, skipSpaces, tokenEnd, tokenIs } from '../tokens.ts'
import { Uint64 } from '../uint64.ts'

const SPACE = 32
const PLUS = 43
const MINUS = 45
/** A longer data block is refused as a malformed line (memcached: INT_MAX - 2). */
const MAX_VALUE_LENGTH = 0x7fff_fffd

const bigFlags = new Uint64()

/**
 * Moves `request` to the next key of its line. Returns false when there is none; the key may still be too long.
 * The key is hashed in the same pass that finds its end.
 */
export function nextKey(request: Request): boolean {
  const buffer = request.buffer
  const end = request.end
  const start = skipSpaces(buffer, request.cursor, end)
  let hash = HASH_SEED
  let at = start
  while (at < end) {
    const byte = buffer[at]!
    if (byte === SPACE) break
    hash = hashByte(hash, byte)
    at++
  }
  request.cursor = at
  request.keyBuffer = buffer
  request.keyStart = start
  request.keyLength = at - start
  request.keyHash = finishHash(hash)
  return at > start
}

/** get, gets: keys follow, read one by one with `nextKey`. */
export function parseRetrieval(request: Request): void {
  if (skipSpaces(request.buffer, request.cursor, request.end) === request.end) request.error = RequestError.badFormat
}

/** gat, gats: an exptime, then keys. */
export function parseGetAndTouch(request: Request): void {
  const { buffer, end } = request
  const start = skipSpaces(buffer, request.cursor, end)
  const exptimeEnd = tokenEnd(buffer, start, end)
  request.cursor = exptimeEnd
  if (skipSpaces(buffer, exptimeEnd, end) === end) {
    request.error = RequestError.badFormat
    return
  }
  const exptime = parseInt32(buffer, start, exptimeEnd)
  if (Number.isNaN(exptime)) request.error = RequestError.invalidExptime
  else request.exptime = exptime
}

/** set, add, replace, append, prepend, cas: `<key> <flags> <exptime> <bytes> [<cas unique>] [noreply]`. */
export function parseStorage(request: Request): void {
  const { buffer, end } = request
  if (!nextKey(request)) {
    request.error = RequestError.badFormat
    return
  }
  const flagsStart = skipSpaces(buffer, request.cursor, end)
  const flagsEnd = tokenEnd(buffer, flagsStart, end)
  const exptimeStart = skipSpaces(buffer, flagsEnd, end)
  const exptimeEnd = tokenEnd(buffer, exptimeStart, end)
  const lengthStart = skipSpaces(buffer, exptimeEnd, end)
  const lengthEnd = tokenEnd(buffer, lengthStart, end)
  const length = parseInt32(buffer, lengthStart, lengthEnd)
  // Without a length nobody knows where the next command starts: the data block is not waited for.
  if (!(length >= 0 && length <= MAX_VALUE_LENGTH)) {
    request.error = RequestError.badFormat
    return
  }
  request.valueLength = length
  request.noreply = endsWithNoreply(buffer, lengthEnd, end)
  if (request.keyLength > MAX_KEY_BYTES) {
    request.error = RequestError.badFormat
    return
  }
  const digitsStart = buffer[flagsStart] === PLUS ? flagsStart + 1 : flagsStart
  const clientFlags = parseUint53(buffer, digitsStart, flagsEnd)
  if (clientFlags >= 0) {
    request.clientFlags = clientFlags >>> 0
  } else if (bigFlags.parse(buffer, digitsStart, flagsEnd)) {
    // As memcached: a 64-bit number, of which it keeps 32 bits.
    request.clientFlags = bigFlags.low
  } else {
    request.error = RequestError.badFormat
  }
  if (!parseStorageExptime(request, exptimeStart, exptimeEnd)) request.error = RequestError.badFormat
  if (request.command === Command.cas) parseCasUnique(request, lengthEnd)
}

/** As memcached's safe_strtol: a plus may stand before it, and of a number of 64 bits the lower 32 are taken. */
function parseStorageExptime(request: Request, start: number, end: number): boolean {
  const { buffer } = request
  const exptime = parseInt32(buffer, start, end)
  if (!Number.isNaN(exptime)) {
    request.exptime = exptime
    return true
  }
  const sign = buffer[start]
  const signed = start < end && (sign === PLUS || sign === MINUS)
  if (!bigFlags.parse(buffer, signed ? start + 1 : start, end) || bigFlags.high > 0x7fff_ffff) return false
  request.exptime = (sign === MINUS ? -bigFlags.low : bigFlags.low) | 0
  return true
}

function parseCasUnique(request: Request, at: number): void {
  const start = skipSpaces(request.buffer, at, request.end)
  const end = tokenEnd(request.buffer, start, request.end)
  request.hasCas = true
  if (!request.cas.parse(request.buffer, start, end)) request.error = RequestError.badFormat
}

/** delete: `<key> [anything] [noreply]`. */
export function parseDelete(request: Request): void {
  parseKey(request)
  if (request.error === RequestError.none)
    request.noreply = endsWithNoreply(request.buffer, request.cursor, request.end)
}

/** incr, decr: `<key> <delta> [noreply]`. */
export function parseArithmetic(request: Request): void {
  const start = parseKeyAndArgument(request)
  if (start === -1) return
  if (!request.delta.parse(request.buffer, start, tokenEnd(request.buffer, start, request.end))) {
    request.error = RequestError.invalidDelta
  }
}

/** touch: `<key> <exptime> [noreply]`. */
export function parseTouch(request: Request): void {
  const start = parseKeyAndArgument(request)
  if (start === -1) return
  const exptime = parseInt32(request.buffer, start, tokenEnd(request.buffer, start, request.end))
  if (Number.isNaN(exptime)) request.error = RequestError.invalidExptime
  else request.exptime = exptime
}

function parseKey(request: Request): void {
  if (!nextKey(request) || request.keyLength > MAX_KEY_BYTES) request.error = RequestError.badFormat
}

/** Reads a key; returns where the argument behind it starts, or -1 when the line is malformed. */
function parseKeyAndArgument(request: Request): number {
  const found = nextKey(request)
  const start = skipSpaces(request.buffer, request.cursor, request.end)
  if (!found || start === request.end) {
    request.error = RequestError.badFormat
    return -1
  }
  request.noreply = endsWithNoreply(request.buffer, start, request.end)
  if (request.keyLength > MAX_KEY_BYTES) {
    request.error = RequestError.badFormat
    return -1
  }
  return start
}

/** A word that is none of the above: an admin command, somebody's HTTP, or nothing that we know. */
export function parseOther(request: Request, wordEnd: number): void {
  const { buffer, start, end } = request
  for (const word of ADMIN_WORDS) {
    if (tokenIs(buffer, start, wordEnd, word)) {
      request.command = Command.admin
      return
    }
  }
  let lastEnd = end
  while (lastEnd > start && buffer[lastEnd - 1] === SPACE) lastEnd--
  let lastStart = lastEnd
  while (lastStart > start && buffer[lastStart - 1] !== SPACE) lastStart--
  const isHttp = lastEnd - lastStart >= 5 && tokenIs(buffer, lastStart, lastStart + 5, 'HTTP/')
  request.error = isHttp ? RequestError.http : RequestError.unknownCommand
}

/** The commands that are rare enough to be read as words. */
const ADMIN_WORDS = [
  'version',
  'stats',
  'flush_all',
  'verbosity',
  'quit',
  'shutdown',
  'cache_memlimit',
  'slabs',
  'lru',
  'lru_crawler',
  'watch',
  'refresh_certs',
  'debugtime',
  'debugitem',
] as const
