let isReacting = false
const resolved = Promise.resolve()

/**
 * Notes that a response has come, whose callers go on now. What they ask next is flushed as soon as they have all asked, since they are
 * what keeps the server busy. Requests of others, each made in a tick of its own as an HTTP server's many sockets do, are flushed
 * together at the end of the loop's turn. One flag for the process: a caller that is answered by one connection may ask another one.
 */
export function responseComes(): void {
  if (isReacting) return
  isReacting = true
  // Behind all the microtasks, which the callers that go on are. Cheaper than `queueMicrotask`, which makes an async resource.
  void resolved.then(afterMicrotasks)
}

function afterMicrotasks(): void {
  process.nextTick(reactionEnds)
}

function reactionEnds(): void {
  isReacting = false
}

/** Whether what runs now was set going by a response. */
export function isReactionToResponse(): boolean {
  return isReacting
}
