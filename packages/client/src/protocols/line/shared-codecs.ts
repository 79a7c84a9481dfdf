import { isEnd, MemcacheUnsupportedError, parseErrorLine } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { LinesOperation } from '../../operations/lines-operation.ts'
import type { StoreOperation } from '../../operations/write-operations.ts'
import { DESYNC, DONE, MORE } from './line-codec.ts'
import type { LineCodec, LineResponses } from './line-codec.ts'

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
    const { untilEnd = false, line } = operation.request
    if (!untilEnd || !isEnd(buffer, start, end)) {
      if (parseErrorLine(buffer, start, end) !== undefined) return responses.unexpected(operation, buffer, start, end)
      const responseLine = buffer.toString('latin1', start, end)
      if (line?.test(responseLine) === false) return responses.unexpected(operation, buffer, start, end)
      if (!takeLine(operation, responseLine)) return DESYNC
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
