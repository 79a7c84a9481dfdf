import type { ServerResponse } from 'node:http'

/** What is looked at of a response of HTTP/2, whose `writableFinished` is true however it ended. */
interface Http2Response {
  readonly stream?: { readonly rstCode?: number | undefined; readonly closed?: boolean } | undefined
}

/** Calls back once a response is over, with whether the client got all of it: one that left early did not. */
export function onResponseOver(response: ServerResponse, callback: (isWhole: boolean) => void): void {
  // What is over before anybody listens has no event any more.
  if (isOver(response)) callback(isWhole(response))
  else response.once('close', () => callback(isWhole(response)))
}

function isOver(response: ServerResponse & Http2Response): boolean {
  return response.destroyed || response.closed || response.stream?.closed === true
}

function isWhole({ writableEnded, writableFinished, stream }: ServerResponse & Http2Response): boolean {
  return writableEnded && writableFinished && (stream?.rstCode ?? 0) === 0
}
