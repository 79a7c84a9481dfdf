const CLASSES = 64

/** The counters of commands and connections, for `stats` (protocol.txt, "General-purpose statistics"). */
export class ServerCounters {
  cmdGet = 0
  cmdFlush = 0
  cmdTouch = 0
  cmdMeta = 0
  getMisses = 0
  deleteMisses = 0
  incrMisses = 0
  decrMisses = 0
  casMisses = 0
  touchMisses = 0
  storeTooLarge = 0
  storeNoMemory = 0
  bytesRead = 0
  idleKicks = 0
  authCommands = 0
  authErrors = 0
  connYields = 0
  /** Requests refused and connections closed by `maxPendingResponses`. */
  responseObjOom = 0
  sslNewSessions = 0
  sslHandshakeErrors = 0
  sslProtoErrors = 0
  currConnections = 0
  totalConnections = 0
  rejectedConnections = 0

  /** Counts by slab class; `get_hits` is counted by LRU list, in the store. */
  readonly cmdSet = new Float64Array(CLASSES)
  readonly deleteHits = new Float64Array(CLASSES)
  readonly incrHits = new Float64Array(CLASSES)
  readonly decrHits = new Float64Array(CLASSES)
  readonly casHits = new Float64Array(CLASSES)
  readonly casBadval = new Float64Array(CLASSES)
  readonly touchHits = new Float64Array(CLASSES)

  /** Resets everything except the number of open connections (`stats reset`). */
  reset(): void {
    const { currConnections } = this
    Object.assign(this, new ServerCounters())
    this.currConnections = currConnections
  }
}
