/** What the store counts over all classes, under memcached's names (protocol.txt, "General-purpose statistics"). */
export class StoreCounters {
  currItems = 0
  totalItems = 0
  /** Bytes of the items as memcached counts them, header included. */
  bytes = 0
  getExpired = 0
  getFlushed = 0
  /** Moves that the maintainer was called for. */
  maintainerJuggles = 0
  crawlerStarts = 0
  pagesMoved = 0
  rescues = 0
  chunkRescues = 0
  inlineReclaim = 0
  busyItems = 0
  busyDeletes = 0
  busyNoMemory = 0
  /** Why a page that is moving last had to wait for a chunk. */
  lastBusyStatus: 'none' | 'busy' | 'busy_active' | 'busy_floating' = 'none'

  linked(bytes: number): void {
    this.currItems++
    this.totalItems++
    this.bytes += bytes
  }

  unlinked(bytes: number): void {
    this.currItems--
    this.bytes -= bytes
  }

  /** `stats reset`: everything but what there is. */
  reset(): void {
    const { currItems, bytes } = this
    Object.assign(this, new StoreCounters())
    this.currItems = currItems
    this.bytes = bytes
  }
}
