import type { RequestBuffer } from '../../connection/link.ts'
import type { StoreOperation } from '../../operations/store-operation.ts'

/**
 * Writes a store's line, which tells how many bytes the value has, and the value behind it. Most short texts are ASCII,
 * of as many bytes as characters: that is found out by writing them, since counting the bytes first takes as long
 * again.
 *
 * @param writeLine writes the line for a length; nothing else.
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
