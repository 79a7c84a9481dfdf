/** Blocks up to this size are allocated at once. */
const FIRST_BYTES = 1024 * 1024

/**
 * Memory for a data block whose length was announced: that of `block` or, where it is too short, larger memory with its bytes.
 * It grows with what has come, so that an announced length alone costs nothing.
 * @param neededBytes how many bytes it has to hold now.
 * @param totalBytes how many it will hold in the end; the memory is exactly that long once all have come.
 */
export function blockMemory(block: Buffer | undefined, neededBytes: number, totalBytes: number): Buffer {
  if (block !== undefined && neededBytes <= block.length) return block
  const wanted = Math.max(FIRST_BYTES, neededBytes, (block?.length ?? 0) * 2)
  const memory = Buffer.allocUnsafeSlow(Math.min(totalBytes, wanted))
  block?.copy(memory)
  return memory
}
