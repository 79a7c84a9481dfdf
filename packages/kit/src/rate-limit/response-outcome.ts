import type { ServerResponse } from 'node:http'

/** The properties of an HTTP/2 response that are read, since its `writableFinished` is true however it ended. */
interface Http2Response {
  readonly stream?: { readonly rstCode?: number | undefined; readonly closed?: boolean } | undefined
}

/** Calls back when a response has ended, with whether the client received all of it. */
export function onResponseOver(response: ServerResponse & Http2Response, callback: (isWhole: boolean) => void): void {
  // If the response has already ended, there is no event.
  if (isOver(response)) return callback(isWhole(response))
  let isTold = false
  const tell = (whole: boolean): void => {
    if (isTold) return
    isTold = true
    callback(whole)
  }
  response.once('close', () => tell(isWhole(response)))
  // Uses the event, because the responses that Fastify injects in tests set `writableFinished` too late.
  if (response.stream === undefined) response.once('finish', () => tell(true))
}

function isOver(response: ServerResponse & Http2Response): boolean {
  return response.destroyed || response.closed || response.stream?.closed === true
}

function isWhole({ writableEnded, writableFinished, stream }: ServerResponse & Http2Response): boolean {
  return writableEnded && writableFinished && (stream?.rstCode ?? 0) === 0
}
