import { isEnd, MemcacheUnsupportedError, parseErrorLine } from 'memcache-ts-protocol'
import type { ValueLine } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { ClassicItemResponse } from '../../operations/retrieval-operation.ts'
import type { MetaResponse } from '../meta/meta-response.ts'
import type { StoreOperation } from '../../operations/write-operations.ts'
import type { LinesOperation } from '../../operations/lines-operation.ts'

/** A codec's result for a line: the operation's response is complete. */
export const DONE = -1
/** A codec's result for a line: more lines of the response follow. */
export const MORE = -2
/** A codec's result for a line that is not a response to the operation: the stream can no longer be trusted. */
export const DESYNC = -3

/** The part of an operation that an error line needs. */
export interface FailingOperation {
  readonly key: string | undefined
  readonly sendsValue: boolean
  fail(error: unknown): void
}

/** The reader of a connection's responses, as codecs use it. Codecs parse into its objects, which all responses share. */
export interface LineResponses {
  readonly meta: MetaResponse
  readonly classic: ClassicItemResponse
  readonly valueLine: ValueLine
  /** Fails an operation if the line is an error line, and returns `DONE`; for any other line, it returns `DESYNC`. */
  unexpected(operation: FailingOperation, buffer: Buffer, start: number, end: number): number
}

/**
 * Writes one kind of operation, and reads its response, in the text or meta protocol. A line or a data block is passed
 * as the received memory from `start` to `end`, so that no object is allocated for each of several hundred thousand a
 * second.
 */
export interface LineCodec<Kind> {
  /** Writes the request. @throws MemcacheUnsupportedError if the protocol has no command for it. */
  write(operation: Kind, requests: RequestBuffer): void
  /** Reads a line of the response. Returns `DONE`, `MORE`, `DESYNC`, or the length of the data block that follows. */
  readLine(operation: Kind, responses: LineResponses, buffer: Buffer, start: number, end: number): number
  /** Returns whether reading the data block copies its bytes, so that its memory may be reused. */
  copiesValue?(operation: Kind, responses: LineResponses): boolean
  /** Reads the whole data block; if `owned` is true, the reader may keep the memory. */
  readValue?(
    operation: Kind,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void
  /** Handles the end of the data block. Returns `DONE` or `MORE`. */
  endValue?(operation: Kind, responses: LineResponses): number
}

/**
 * Writes a store's line, which has the value's length in bytes, and the value after it. Most short texts are ASCII,
 * with as many bytes as characters; this is checked while writing, since counting the bytes first would take as long as
 * writing.
 *
 * @param writeLine writes only the line, for a length.
 */
export function writeStore(
  operation: StoreOperation,
  requests: RequestBuffer,
  writeLine: (operation: StoreOperation, requests: RequestBuffer, length: number) => void,
): void {
  const { bytes } = operation
  if (typeof bytes === 'string' && requests.mayHold(bytes)) {
    const start = requests.at
    writeLine(operation, requests, bytes.length)
    if (requests.appendAscii(bytes)) return
    requests.at = start
  }
  const length = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
  writeLine(operation, requests, length)
  requests.appendValue(bytes, length)
}

/** The maximum length of a kept response: more than the statistics of 100,000 connections. */
const MAX_KEPT_LENGTH = 64 * 1024 * 1024

/** Commands whose response is text: `version`, `stats`, `me` and their like. */
export class LinesCodec implements LineCodec<LinesOperation> {
  readonly #hasMeta: boolean

  /** @param hasMeta whether the server has the meta commands. */
  constructor({ hasMeta }: { readonly hasMeta: boolean }) {
    this.#hasMeta = hasMeta
  }

  write(operation: LinesOperation, requests: RequestBuffer): void {
    const { text, meta } = operation.request
    if (meta === true && !this.#hasMeta) {
      throw new MemcacheUnsupportedError(`the server has no meta commands: '${text.slice(0, 2)}' needs memcached 1.6`)
    }
    requests.append(text)
  }

  readLine(operation: LinesOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const untilEnd = operation.request.untilEnd === true
    if (!untilEnd || !isEnd(buffer, start, end)) {
      if (parseErrorLine(buffer, start, end) !== undefined) return responses.unexpected(operation, buffer, start, end)
      if (!takeLine(operation, buffer.toString('latin1', start, end))) return DESYNC
      if (untilEnd && !operation.isRefused) return MORE
    }
    operation.finish()
    return DONE
  }
}

/** Passes a line to its operation, unless the operation was given up. Returns false if the response is too long. */
export function takeLine(operation: LinesOperation, line: string): boolean {
  if (operation.settled) return true
  operation.take(line)
  return operation.keptLength <= MAX_KEPT_LENGTH
}
