import type { ValueLine } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { ClassicItemResponse } from '../../operations/item-response.ts'
import type { MetaResponse } from '../meta/meta-response.ts'

/** What a codec says of a line that was handed to it: the operation's response is complete. */
export const DONE = -1
/** More lines belong to it. */
export const MORE = -2
/** The line is no response to it: the stream can no longer be trusted. */
export const DESYNC = -3

/** An operation, as far as an error line fails it. */
export interface FailingOperation {
  readonly key: string | undefined
  readonly sendsValue: boolean
  fail(error: unknown): void
}

/**
 * What codecs need of the reader of a connection's responses. They parse into its objects, one of each for all
 * responses.
 */
export interface LineResponses {
  readonly meta: MetaResponse
  readonly classic: ClassicItemResponse
  readonly valueLine: ValueLine
  /** Fails an operation by an error line; any other line is no response at all. Returns `DONE` or `DESYNC`. */
  unexpected(operation: FailingOperation, buffer: Buffer, start: number, end: number): number
}

/**
 * How one kind of operation is written, and its response read, in a protocol of lines. A line or a data block is handed
 * over as the memory that it was received in, from `start` to `end`: several hundred thousand a second, so that no
 * object is made for it.
 */
export interface LineCodec<Kind> {
  /** Writes the request. @throws MemcacheUnsupportedError for what the protocol has no command for. */
  write(operation: Kind, requests: RequestBuffer): void
  /** Reads a line of the response: `DONE`, `MORE`, `DESYNC`, or the length of the data block behind it. */
  readLine(operation: Kind, responses: LineResponses, buffer: Buffer, start: number, end: number): number
  /** Whether nothing of the data block is kept when it is read, so that it may lie in memory that is used again. */
  copiesValue?(operation: Kind, responses: LineResponses): boolean
  /** Reads the data block, whole; with `owned` the memory is nobody else's. */
  readValue?(
    operation: Kind,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void
  /** The data block has ended: `DONE` or `MORE`. */
  endValue?(operation: Kind, responses: LineResponses): number
}
