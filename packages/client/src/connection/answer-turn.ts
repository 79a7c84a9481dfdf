let isTaken = false

/**
 * Tells that an answer has come, and that those who waited for it go on now. What they ask next leaves as soon as they have all
 * asked: they are who keeps the server busy. What others ask, each in a tick of its own, as an HTTP server's many sockets do,
 * leaves together at the end of the loop's turn. One for the process: who is answered by one connection may ask another one.
 */
export function answerComes(): void {
  if (isTaken) return
  isTaken = true
  // Behind all the microtasks, which those who waited are.
  queueMicrotask(() =>
    process.nextTick(() => {
      isTaken = false
    }),
  )
}

/** Whether what runs now was set going by an answer. */
export function isAnswerBeingTaken(): boolean {
  return isTaken
}
