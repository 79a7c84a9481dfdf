/** Blocks up to this size are allocated at once. */
const FIRST_BYTES = 1024 * 1024

/**
 * Returns memory for a data block of an announced length: `block`, or, if that is too short, larger memory with its
 * content. Memory grows with the bytes received, so that an announced length alone costs nothing.
 *
 * @param neededBytes how many bytes it must hold now.
 * @param totalBytes how many bytes it will hold in the end; the memory has exactly that length once all bytes have
 *   arrived.
 */
export function blockMemory(block: Buffer | undefined, neededBytes: number, totalBytes: number): Buffer {
  if (block !== undefined && neededBytes <= block.length) return block
  const wanted = Math.max(FIRST_BYTES, neededBytes, (block?.length ?? 0) * 2)
  const memory = Buffer.allocUnsafeSlow(Math.min(totalBytes, wanted))
  block?.copy(memory)
  return memory
}
