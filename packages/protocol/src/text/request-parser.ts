import { Command, RequestError } from '../request.ts'
import { scanKey } from '../key-hash.ts'
import { MAX_KEY_BYTES } from '../limits.ts'
import type { Request } from '../request.ts'
import { endsWithNoreply, parseInt32, parseLong, parseUint53, skipSpaces, tokenEnd, tokenIs } from '../tokens.ts'

const SPACE = 32
/** A longer data block is refused as a malformed line (memcached: INT_MAX - 2). */
const MAX_VALUE_LENGTH = 0x7fff_fffd

/**
 * Moves `request` to the next key of its line. Returns false if there is none; the key may still be too long. The key
 * is hashed in the same pass that finds its end.
 */
export function nextKey(request: Request): boolean {
  const buffer = request.buffer
  const end = request.end
  const start = skipSpaces(buffer, request.cursor, end)
  const at = scanKey(request, buffer, start, end, SPACE)
  request.cursor = at
  request.keyBuffer = buffer
  request.keyStart = start
  request.keyLength = at - start
  return at > start
}

/** Returns whether `nextKey` will find another key in the line. */
export function hasKeyLeft({ buffer, cursor, end }: Request): boolean {
  return skipSpaces(buffer, cursor, end) < end
}

/** Returns whether one of the keys that `nextKey` has not read yet is too long. */
export function hasLongKeyLeft({ buffer, cursor, end }: Request): boolean {
  for (let at = skipSpaces(buffer, cursor, end); at < end;) {
    const keyEnd = tokenEnd(buffer, at, end)
    if (keyEnd - at > MAX_KEY_BYTES) return true
    at = skipSpaces(buffer, keyEnd, end)
  }
  return false
}

/** Parses `get` and `gets`, whose keys are read one by one with `nextKey`. */
export function parseRetrieval(request: Request): void {
  if (skipSpaces(request.buffer, request.cursor, request.end) === request.end) request.error = RequestError.badFormat
}

/** Parses `gat` and `gats`: an exptime, then keys. */
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

/** Parses the storage commands: `<key> <flags> <exptime> <bytes> [<cas unique>] [noreply]`. */
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
  // Without a valid length, the start of the next command is unknown, so no data block is awaited.
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
  let clientFlags = parseUint53(buffer, flagsStart, flagsEnd)
  if (Number.isNaN(clientFlags)) clientFlags = parseLong(buffer, flagsStart, flagsEnd, 'unsigned')
  let exptime = parseInt32(buffer, exptimeStart, exptimeEnd)
  // `strtol` differs here: a minus alone is not a number.
  if (exptime === 0 || Number.isNaN(exptime)) exptime = parseLong(buffer, exptimeStart, exptimeEnd, 'signed')
  if (Number.isNaN(clientFlags) || Number.isNaN(exptime)) request.error = RequestError.badFormat
  // Like memcached, it keeps 32 bits of a 64-bit number.
  request.clientFlags = clientFlags >>> 0
  request.exptime = exptime
  if (request.command === Command.cas) parseCasUnique(request, lengthEnd)
}

function parseCasUnique(request: Request, at: number): void {
  const start = skipSpaces(request.buffer, at, request.end)
  const end = tokenEnd(request.buffer, start, request.end)
  request.hasCas = true
  if (!request.cas.parse(request.buffer, start, end)) request.error = RequestError.badFormat
}

/** Parses `delete`: `<key> [anything] [noreply]`. A last word `noreply` counts even if it is the key. */
export function parseDelete(request: Request): void {
  const { buffer, cursor, end } = request
  parseKey(request)
  if (request.keyLength > 0) request.noreply = endsWithNoreply(buffer, cursor, end)
}

/** Parses `incr` and `decr`: `<key> <delta> [noreply]`. */
export function parseArithmetic(request: Request): void {
  const start = parseKeyAndArgument(request)
  if (start === -1) return
  if (!request.delta.parse(request.buffer, start, tokenEnd(request.buffer, start, request.end))) {
    request.error = RequestError.invalidDelta
  }
}

/** Parses `touch`: `<key> <exptime> [noreply]`. */
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

/** Reads a key; returns the start of the argument after it, or -1 if the line is malformed. */
function parseKeyAndArgument(request: Request): number {
  const found = nextKey(request)
  const start = skipSpaces(request.buffer, request.cursor, request.end)
  if (!found || start === request.end) {
    request.error = RequestError.badFormat
    return -1
  }
  request.noreply = endsWithNoreply(request.buffer, request.cursor, request.end)
  if (request.keyLength > MAX_KEY_BYTES) {
    request.error = RequestError.badFormat
    return -1
  }
  return start
}

/** Parses any other line: an admin command, HTTP, or an unknown command. */
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
  request.noreply = endsWithNoreply(buffer, start, end)
  const isHttp = lastStart > start && lastEnd - lastStart >= 5 && tokenIs(buffer, lastStart, lastStart + 5, 'HTTP/')
  request.error = isHttp ? RequestError.http : RequestError.unknownCommand
}

/** The rare commands that are parsed as words. */
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
