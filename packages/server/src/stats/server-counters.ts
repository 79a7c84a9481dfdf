/** What commands and connections count, for `stats` (protocol.txt, "General-purpose statistics"). */
export class ServerCounters {
  cmdGet = 0
  cmdSet = 0
  cmdFlush = 0
  cmdTouch = 0
  cmdMeta = 0
  getHits = 0
  getMisses = 0
  deleteHits = 0
  deleteMisses = 0
  incrHits = 0
  incrMisses = 0
  decrHits = 0
  decrMisses = 0
  casHits = 0
  casMisses = 0
  casBadval = 0
  touchHits = 0
  touchMisses = 0
  storeTooLarge = 0
  storeNoMemory = 0
  bytesRead = 0
  currConnections = 0
  totalConnections = 0
  rejectedConnections = 0

  /** `stats reset`: everything but the connections that are open. */
  reset(): void {
    const { currConnections, totalConnections } = this
    Object.assign(this, new ServerCounters())
    this.currConnections = currConnections
    this.totalConnections = totalConnections
  }
}
