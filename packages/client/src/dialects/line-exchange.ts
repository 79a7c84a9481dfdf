import type { RequestBuffer } from '../connection/request-buffer.ts'
import type { LineAnswers } from './line-answers.ts'

/** What an exchange says of a line that was handed to it: the operation's answer is complete. */
export const DONE = -1
/** More lines belong to it. */
export const MORE = -2
/** The line is no answer to it: the stream can no longer be trusted. */
export const DESYNC = -3

/** How one kind of operation is asked and answered in a dialect of lines. */
export interface LineExchange<Kind = never> {
  /** Writes the request. */
  write(operation: Kind, requests: RequestBuffer): void
  /** A line of the answer: `DONE`, `MORE`, `DESYNC`, or the length of the data block behind it. */
  line(operation: Kind, answers: LineAnswers, buffer: Buffer, start: number, end: number): number
  /** The data block, whole; with `owned` the memory is nobody else's. */
  value?(operation: Kind, answers: LineAnswers, buffer: Buffer, start: number, end: number, owned: boolean): void
  /** The data block has ended: `DONE` or `MORE`. */
  valueEnd?(operation: Kind, answers: LineAnswers): number
}
