import type { RequestBuffer } from '../../connection/link.ts'
import type { StoreOperation } from '../../operations/store-operation.ts'

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
