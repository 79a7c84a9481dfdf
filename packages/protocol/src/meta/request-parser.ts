import { Command, RequestError } from '../request.ts'
import { hashKey } from '../key-hash.ts'
import { MAX_KEY_BYTES, MAX_META_TOKENS, MAX_OPAQUE_BYTES } from '../limits.ts'
import type { Request } from '../request.ts'
import { nextKey } from '../text/request-parser.ts'
import { parseInt32, skipSpaces, tokenEnd } from '../tokens.ts'
import { Uint64 } from '../uint64.ts'
import { CAPITAL_FLAG_LETTERS, CapitalFlag, Flag, FLAG_LETTERS } from './flag.ts'

const LETTER_BITS = 31
const IS_SMALL = 0x20
const LETTER_O = 79
const MAX_VALUE_LENGTH = 0x7fff_fffd
const bigFlags = new Uint64()

/** Parses `mg`, `md`, `ma` and `me`: `<key> <flags>*`. */
export function parseMetaKeyAndFlags(request: Request): void {
  if (!nextKey(request)) {
    request.error = RequestError.badFormat
    return
  }
  finishMeta(request)
}

/** Parses `ms`: `<key> <datalen> <flags>*`. */
export function parseMetaSet(request: Request): void {
  const found = nextKey(request)
  const { buffer, end } = request
  const lengthStart = skipSpaces(buffer, request.cursor, end)
  const lengthEnd = tokenEnd(buffer, lengthStart, end)
  const length = parseInt32(buffer, lengthStart, lengthEnd)
  if (!found || !(length >= 0 && length <= MAX_VALUE_LENGTH)) {
    request.error = RequestError.badFormat
    return
  }
  request.cursor = lengthEnd
  request.valueLength = length
  finishMeta(request)
}

function finishMeta(request: Request): void {
  const { command } = request
  let error: number = request.keyLength > MAX_KEY_BYTES ? RequestError.badFormat : parseFlags(request)
  // ma reports only this error of its flags; the others name the kind.
  if (error !== RequestError.none && command === Command.metaArithmetic) error = RequestError.invalidOrDuplicateFlag
  if (error === RequestError.none && request.mode !== 0) error = checkMode(request)
  if (error === RequestError.none && isOpaqueTooLong(request)) error = RequestError.opaqueTooLong
  if (error !== RequestError.none && hasOddFlag(request)) {
    // Then it is not a meta command, and whether a data block follows is unknown.
    error = RequestError.badFormat
    request.valueLength = -1
  }
  request.error = error
}

/** Parses the flags of `me`, `[b <anything>]`. Like memcached 1.6.45, it reads b only if another word follows it. */
function parseMetaDebugFlags(request: Request): number {
  const { buffer, cursor, end } = request
  const at = skipSpaces(buffer, cursor, end)
  const next = skipSpaces(buffer, tokenEnd(buffer, at, end), end)
  if (next === end || buffer[at] !== 98 || tokenEnd(buffer, at, end) !== at + 1) return RequestError.none
  return decodeKey(request) === RequestError.none ? RequestError.none : RequestError.badFormat
}

/**
 * Parses the flags into the record; returns the error. A bad argument is reported after all flags were read; of
 * several, the last one.
 */
function parseFlags(request: Request): number {
  if (request.command === Command.metaDebug)
    return hasOddFlag(request) ? RequestError.badFormat : parseMetaDebugFlags(request)
  const { buffer, end } = request
  let error: number = RequestError.none
  let at = skipSpaces(buffer, request.cursor, end)
  if (request.command === Command.metaArithmetic) {
    request.delta.set(0, 1)
    request.initial.set(0, 0)
  }
  if (hasTooManyFlags(request, at)) return RequestError.tooManyFlags
  while (at < end) {
    const letter = buffer[at]!
    const flagEnd = tokenEnd(buffer, at, end)
    const bit = 1 << (letter & LETTER_BITS)
    if ((letter & IS_SMALL) === 0) {
      if ((request.capitalFlags & bit) !== 0) return RequestError.duplicateFlag
      if (letter < 65 || letter > 90 || (CAPITAL_FLAG_LETTERS & bit) === 0) return RequestError.invalidFlag
      request.capitalFlags |= bit
      const wrong = parseArgument(request, bit, at + 1, flagEnd)
      // Bad client flags are only reported as a bad line, which does not replace another error.
      if (wrong !== RequestError.none && (error === RequestError.none || wrong !== RequestError.badFormat))
        error = wrong
    } else {
      if (letter < 97 || letter > 122 || (FLAG_LETTERS & bit) === 0) return RequestError.invalidFlag
      if ((request.flags & bit) !== 0) return RequestError.duplicateFlag
      request.flags |= bit
      if (bit === Flag.base64) error = decodeKey(request) || error
    }
    request.flagStart[request.flagCount] = at
    request.flagEnd[request.flagCount] = flagEnd
    request.flagCount++
    at = skipSpaces(buffer, flagEnd, end)
  }
  return error
}

/** Returns whether a flag begins with a byte that no flag can begin with. */
function hasOddFlag({ buffer, cursor, end }: Request): boolean {
  for (let at = skipSpaces(buffer, cursor, end); at < end; at = skipSpaces(buffer, tokenEnd(buffer, at, end), end)) {
    const letter = buffer[at]!
    if ((letter < 65 || letter > 122) && (letter < 48 || letter > 57)) return true
  }
  return false
}

/** Returns whether there are too many flags; like memcached, this is reported before a repeated flag. */
function hasTooManyFlags(request: Request, start: number): boolean {
  const { buffer, end } = request
  const maxFlags = request.command === Command.metaSet ? MAX_META_TOKENS - 3 : MAX_META_TOKENS - 2
  // A flag and its space take two bytes, so nearly every line is too short to be checked.
  if (end - start < maxFlags * 2) return false
  let count = 0
  for (let at = start; at < end; at = skipSpaces(buffer, tokenEnd(buffer, at, end), end)) count++
  return count > maxFlags
}

/** Parses the argument of a capital flag; returns its error. */
function parseArgument(request: Request, bit: number, start: number, end: number): number {
  const { buffer } = request
  switch (bit) {
    case CapitalFlag.exptime: {
      const exptime = parseInt32(buffer, start, end)
      request.exptime = exptime
      return Number.isNaN(exptime) ? RequestError.badToken : RequestError.none
    }
    case CapitalFlag.vivify: {
      const exptime = parseInt32(buffer, start, end)
      request.vivifyExptime = exptime
      return Number.isNaN(exptime) ? RequestError.badToken : RequestError.none
    }
    case CapitalFlag.recache: {
      const exptime = parseInt32(buffer, start, end)
      request.recacheExptime = exptime
      return Number.isNaN(exptime) ? RequestError.badToken : RequestError.none
    }
    case CapitalFlag.clientFlags: {
      if (!bigFlags.parse(buffer, start, end) || bigFlags.high !== 0) return RequestError.badFormat
      request.clientFlags = bigFlags.low
      return RequestError.none
    }
    case CapitalFlag.compareCas: {
      request.hasCas = true
      return request.cas.parse(buffer, start, end) ? RequestError.none : RequestError.badToken
    }
    case CapitalFlag.newCas:
      return request.newCas.parse(buffer, start, end) ? RequestError.none : RequestError.badToken
    case CapitalFlag.initial:
      return request.initial.parse(buffer, start, end) ? RequestError.none : RequestError.badInitial
    case CapitalFlag.delta:
      return request.delta.parse(buffer, start, end) ? RequestError.none : RequestError.badDelta
    case CapitalFlag.mode:
      // Only the first letter counts, as in memcached; without one, there is no mode.
      request.mode = start < end ? buffer[start]! : -1
      return RequestError.none
    default:
      return RequestError.none
  }
}

/** Returns whether the opaque is too long; it is only reported if there is no other error. */
function isOpaqueTooLong(request: Request): boolean {
  if ((request.capitalFlags & CapitalFlag.opaque) === 0) return false
  for (let index = 0; index < request.flagCount; index++) {
    const start = request.flagStart[index]!
    if (request.buffer[start] === LETTER_O) return request.flagEnd[index]! - start - 1 > MAX_OPAQUE_BYTES
  }
  return false
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const NOT_BASE64 = /[^A-Za-z0-9+/=]/g

/** Decodes a base64 key, whose bytes are the key from then on; returns the error. */
function decodeKey(request: Request): number {
  const sent = request.buffer.toString('latin1', request.keyStart, request.keyStart + request.keyLength)
  const text = BASE64.test(sent) ? sent : tidyBase64(sent)
  if (text === undefined) return RequestError.badKeyEncoding
  request.decodedKey ??= Buffer.allocUnsafeSlow(MAX_KEY_BYTES)
  request.keyLength = request.decodedKey.write(text, 'base64')
  request.keyBuffer = request.decodedKey
  request.keyStart = 0
  request.keyHash = hashKey(request.decodedKey, 0, request.keyLength)
  return RequestError.none
}

/**
 * Returns text that is not exact base64 as memcached's decoder reads it: it skips other bytes, and ends after the first
 * padding.
 */
function tidyBase64(sent: string): string | undefined {
  const text = sent.replaceAll(NOT_BASE64, '')
  if (text === '' || text.length % 4 !== 0) return undefined
  const padding = text.indexOf('=')
  const end = padding === -1 ? text.length : padding - (padding % 4) + 4
  const last = text.slice(end - 4, end)
  const pads = last.split('=').length - 1
  if (pads > 2) return undefined
  // Padding that is not at the end counts as zero.
  return text.slice(0, end - 4) + last.replaceAll('=', 'A').slice(0, 4 - pads) + '='.repeat(pads)
}

function checkMode(request: Request): number {
  switch (request.command) {
    case Command.metaSet:
      return SET_MODES.has(request.mode) ? RequestError.none : RequestError.badSetMode
    case Command.metaArithmetic:
      return ARITHMETIC_MODES.has(request.mode) ? RequestError.none : RequestError.badArithmeticMode
    default:
      return RequestError.none
  }
}

/** E add, A append, P prepend, R replace, S set. */
const SET_MODES = new Set(Buffer.from('EAPRS'))
/** I and + increment, D and - decrement. */
const ARITHMETIC_MODES = new Set(Buffer.from('ID+-'))
