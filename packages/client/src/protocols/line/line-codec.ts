import type { ValueLine } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { ClassicItemResponse } from '../../operations/item-response.ts'
import type { MetaResponse } from '../meta/meta-response.ts'

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
  /**
   * Writes the request.
   *
   * @throws MemcacheUnsupportedError if the protocol has no command for it.
   */
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
