import type { MemcacheError } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../connection/request-buffer.ts'
import type { Operation } from '../operations/operation.ts'

/** The ways to speak to a server. */
export type DialectName = 'meta' | 'text' | 'binary'

/** The connection, as its reader of answers sees it. */
export interface AnswerSink {
  /** The server's name, for errors. */
  readonly server: string
  /** The operation that the next answer belongs to. */
  first(): Operation | undefined
  /** The first operation has its answer. */
  finished(): void
  /**
   * The order of the answers, or their sense, is in doubt: nothing more is read.
   * @param refusal what the server said, where it refused the connection itself.
   */
  doubt(reason: string, refusal?: MemcacheError): void
  /** What a server said, without the password, for errors. */
  redact(said: string): string
}

/** Reads a server's answers, and hands them to the operations in their order. */
export interface AnswerReader {
  /** Takes received bytes; `buffer` may be used again afterwards. */
  push(buffer: Buffer, start: number, end: number): void
  /** Whether some of the answer to the first operation has come. */
  readonly isMidAnswer: boolean
  /** Reads no further: the connection is gone. */
  stop(): void
}

/** How operations become bytes, and answers results. */
export interface Dialect {
  readonly name: DialectName
  readerFor(sink: AnswerSink): AnswerReader
  /**
   * Writes an operation's request.
   * @throws MemcacheUnsupportedError, with nothing written, for what the dialect has no words for.
   */
  write(operation: Operation, requests: RequestBuffer): void
}
