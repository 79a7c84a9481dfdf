import type { MemcacheError } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../connection/link.ts'
import type { Operation } from '../operations/operation.ts'

/** The protocols that a server may be spoken to in. */
export type ProtocolName = 'meta' | 'text' | 'binary'

/** What a reader of responses needs of its connection. */
export interface ResponseSink {
  /** The server's name, for errors. */
  readonly server: string
  /** The operation that the next response belongs to. */
  first(): Operation | undefined
  /** The first operation has its response. */
  finished(): void
  /**
   * The responses no longer match the requests, or make no sense: nothing more is read.
   *
   * @param refusal what the server said, where it refused the connection itself.
   */
  desync(reason: string, refusal?: MemcacheError): void
  /** What a server said, without the password, for errors. */
  redact(said: string): string
}

/** Reads a server's responses, and hands them to the operations in their order. */
export interface ResponseReader {
  /** Takes received bytes; `buffer` may be used again afterwards. */
  push(buffer: Buffer, start: number, end: number): void
  /** Whether some of the response to the first operation has come. */
  readonly isMidResponse: boolean
  /** Reads no further: the connection is gone. */
  stop(): void
}

/** How operations become requests, and responses become results. */
export interface Protocol {
  readonly name: ProtocolName
  readerFor(sink: ResponseSink): ResponseReader
  /**
   * Writes an operation's request.
   *
   * @throws MemcacheUnsupportedError, with nothing written, for what the protocol has no command for.
   */
  write(operation: Operation, requests: RequestBuffer): void
}
