import type { NextFunction, Request, Response } from 'express'
import { MemcacheOptionError } from 'memcache-ts'
import { withoutCookie } from './cache-down.ts'
import type { CacheDown } from './cache-down.ts'
import type { HeldStore, HeldWrite } from './held-store.ts'

/** Headers of the body that is not sent, when an error is sent in its place. */
const OF_THE_BODY = [
  'Cache-Control',
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Length',
  'Content-Location',
  'Content-Range',
  'Content-Type',
  'ETag',
  'Expires',
  'Last-Modified',
  'Location',
]

/** `response.end`, whatever it is given. */
type End = (this: Response, ...args: unknown[]) => Response

/**
 * Has a response wait for what its session has to write, and sends it in one piece after that. Where it cannot be written, the
 * error goes to the application's error handlers, which can still send a status of their own.
 * @param end the response's `end` from before express-session put its own there.
 */
export function holdResponse(
  store: HeldStore,
  down: CacheDown,
  request: Request,
  response: Response,
  end: Response['end'],
  next: NextFunction,
): void {
  const send = end as End
  // oxlint-disable-next-line typescript/unbound-method -- it is called on the response
  const endOfEngine = response.end as End
  let isEnded = false

  /** Takes back what was to be sent, and has the error sent instead. */
  const fail = (error: unknown): void => {
    response.end = end
    withoutCookie(request)
    for (const header of OF_THE_BODY) response.removeHeader(header)
    next(error)
  }
  const sendAfter = async (write: HeldWrite, args: unknown[]): Promise<void> => {
    try {
      await write.begin()
    } catch (error) {
      if (!down.forgives(error, write.kind)) return fail(error)
      if (write.kind === 'save') withoutCookie(request)
    }
    try {
      send.apply(response, args)
    } catch (error) {
      fail(error)
    }
  }
  const held: End = (...args) => {
    if (isEnded) return response
    isEnded = true
    // A head that has been sent cannot be held.
    if (response.headersSent) return endOfEngine.apply(response, args)
    try {
      const { session } = request
      // The session of the id that the visitor has: not one that was made meanwhile.
      if (session?.id === request.sessionID && store.hasNothingToWrite(session)) return send.apply(response, args)
      const write = store.hold(() => endOfEngine.apply(response, args))
      if (write !== undefined) void sendAfter(write, args)
    } catch (error) {
      const problem = jsonProblem(request.session)
      if (problem === undefined) {
        response.end = end
        withoutCookie(request)
        throw error
      }
      fail(problem)
    }
    return response
  }
  response.end = held as Response['end']
}

/** Why a session cannot be stored, which express-session finds when it looks for changes; `undefined` when it can. */
function jsonProblem(session: unknown): MemcacheOptionError | undefined {
  try {
    JSON.stringify(session)
    return undefined
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    return new MemcacheOptionError(`the session cannot be stored: it has to be JSON (${reason})`, { cause })
  }
}
