import { Command, RequestError } from './request.ts'
import { parseMetaKeyAndFlags, parseMetaSet } from './meta/request-parser.ts'
import type { Request } from './request.ts'
import {
  parseArithmetic,
  parseDelete,
  parseGetAndTouch,
  parseOther,
  parseRetrieval,
  parseStorage,
  parseTouch,
} from './text/request-parser.ts'
import { tokenEnd, tokenIs } from './tokens.ts'

const CR = 13
/** A line of fewer bytes, its end included, cannot be a command. */
const MIN_LINE_BYTES = 4

/**
 * Parses one request line of the text or meta protocol into `request`, in place. It never throws: errors are in
 * `request.error`. `buffer[end]` must be the line's `\r` or `\n`.
 */
export function parseRequest(request: Request, buffer: Buffer, start: number, end: number): void {
  request.error = RequestError.none
  request.noreply = false
  request.buffer = buffer
  request.start = start
  request.end = end
  request.valueLength = -1
  request.hasCas = false
  request.exptime = 0
  request.clientFlags = 0
  const wordEnd = tokenEnd(buffer, start, end)
  request.cursor = wordEnd
  request.command = Command.unknown
  if (end - start + (buffer[end] === CR ? 2 : 1) < MIN_LINE_BYTES) {
    request.error = RequestError.badFormat
    return
  }
  switch (wordEnd - start) {
    case 2:
      if (buffer[start] === 109) return parseMeta(request, buffer[start + 1]!)
      break
    case 3:
      if (parseThreeLetters(request, buffer, start)) return
      break
    case 4:
      if (parseFourLetters(request, buffer, start)) return
      break
    case 5:
      if (tokenIs(buffer, start, wordEnd, 'touch')) {
        request.command = Command.touch
        return parseTouch(request)
      }
      break
    case 6:
      if (tokenIs(buffer, start, wordEnd, 'delete')) {
        request.command = Command.delete
        return parseDelete(request)
      }
      if (tokenIs(buffer, start, wordEnd, 'append')) return parseStorageAs(request, Command.append)
      break
    case 7:
      if (tokenIs(buffer, start, wordEnd, 'replace')) return parseStorageAs(request, Command.replace)
      if (tokenIs(buffer, start, wordEnd, 'prepend')) return parseStorageAs(request, Command.prepend)
      break
  }
  parseOther(request, wordEnd)
}

/** Parses the meta command with this letter after `m`. */
function parseMeta(request: Request, letter: number): void {
  request.flags = 0
  request.capitalFlags = 0
  request.flagCount = 0
  request.mode = 0
  switch (letter) {
    case 103: // g
      request.command = Command.metaGet
      return parseMetaKeyAndFlags(request)
    case 115: // s
      request.command = Command.metaSet
      return parseMetaSet(request)
    case 100: // d
      request.command = Command.metaDelete
      return parseMetaKeyAndFlags(request)
    case 97: // a
      request.command = Command.metaArithmetic
      return parseMetaKeyAndFlags(request)
    case 101: // e
      request.command = Command.metaDebug
      return parseMetaKeyAndFlags(request)
    case 110: // n
      request.command = Command.metaNoop
      return
    default:
      parseOther(request, request.cursor)
  }
}

/** Parses get, set, gat, add and cas, the most frequent commands, compared by bytes. Returns whether it was one of them. */
function parseThreeLetters(request: Request, buffer: Buffer, start: number): boolean {
  const first = buffer[start]!
  const second = buffer[start + 1]!
  const third = buffer[start + 2]!
  if (first === 103 && second === 101 && third === 116) {
    request.command = Command.get
    parseRetrieval(request)
  } else if (first === 115 && second === 101 && third === 116) {
    parseStorageAs(request, Command.set)
  } else if (first === 103 && second === 97 && third === 116) {
    request.command = Command.gat
    parseGetAndTouch(request)
  } else if (first === 97 && second === 100 && third === 100) {
    parseStorageAs(request, Command.add)
  } else if (first === 99 && second === 97 && third === 115) {
    parseStorageAs(request, Command.cas)
  } else {
    return false
  }
  return true
}

/** Parses gets, incr, decr and gats. Returns whether it was one of them. */
function parseFourLetters(request: Request, buffer: Buffer, start: number): boolean {
  const end = start + 4
  if (tokenIs(buffer, start, end, 'gets')) {
    request.command = Command.gets
    parseRetrieval(request)
  } else if (tokenIs(buffer, start, end, 'incr')) {
    request.command = Command.incr
    parseArithmetic(request)
  } else if (tokenIs(buffer, start, end, 'decr')) {
    request.command = Command.decr
    parseArithmetic(request)
  } else if (tokenIs(buffer, start, end, 'gats')) {
    request.command = Command.gats
    parseGetAndTouch(request)
  } else {
    return false
  }
  return true
}

function parseStorageAs(request: Request, command: Command): void {
  request.command = command
  parseStorage(request)
}
