import type { ServerResponse } from 'node:http'

/** What is looked at of a response of HTTP/2, whose `writableFinished` is true however it ended. */
interface Http2Response {
  readonly stream?: { readonly rstCode?: number | undefined; readonly closed?: boolean } | undefined
}

/** Calls back once a response is over, with whether the client got all of it: one that left early did not. */
export function onResponseOver(response: ServerResponse & Http2Response, callback: (isWhole: boolean) => void): void {
  // A response that is over before anybody listens has no event any more.
  if (isOver(response)) return callback(isWhole(response))
  let isTold = false
  const tell = (whole: boolean): void => {
    if (isTold) return
    isTold = true
    callback(whole)
  }
  response.once('close', () => tell(isWhole(response)))
  // The event, since what Fastify injects in tests says too late that it has finished.
  if (response.stream === undefined) response.once('finish', () => tell(true))
}

function isOver(response: ServerResponse & Http2Response): boolean {
  return response.destroyed || response.closed || response.stream?.closed === true
}

function isWhole({ writableEnded, writableFinished, stream }: ServerResponse & Http2Response): boolean {
  return writableEnded && writableFinished && (stream?.rstCode ?? 0) === 0
}
