import { STATUS_CODES } from 'node:http'
import type { ErrorRequestHandler, RequestHandler, Response } from 'express'

/** An error that the caller has to correct: the response has its status and its message. */
export class RequestError extends Error {
  /** An HTTP status of the 400s. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'RequestError'
    this.status = status
  }
}

/** Sends a response of type `application/problem+json` (RFC 9457). */
function sendProblem(res: Response, status: number, detail: string): void {
  res
    .status(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail }))
}

/** Handles requests that no route has handled. */
export const notFound: RequestHandler = (req, res) => {
  sendProblem(res, 404, `There is no ${req.method} ${req.path}; the README of this example lists what there is.`)
}

/** Sends errors as JSON: the caller's errors with their message, internal errors only to the log. */
export const problems: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) {
    next(error)
    return
  }
  // body-parser and the router mark the caller's errors in the same way.
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
  if (error instanceof Error && status >= 400 && status < 500) {
    sendProblem(res, status, error.message)
    return
  }
  console.error(error)
  sendProblem(res, 500, 'Something went wrong on our side; the log of the service has it.')
}
