/** What the store counts, under memcached's names in small letters and capitals (protocol.txt, "General-purpose statistics"). */
export class StoreCounters {
  currItems = 0
  totalItems = 0
  /** Bytes of the items as memcached counts them, header included. */
  bytes = 0
  evictions = 0
  evictedUnfetched = 0
  reclaimed = 0
  getExpired = 0
  getFlushed = 0
  outOfMemory = 0
  pagesMoved = 0

  linked(bytes: number): void {
    this.currItems++
    this.totalItems++
    this.bytes += bytes
  }

  unlinked(bytes: number): void {
    this.currItems--
    this.bytes -= bytes
  }
}
