import type { ServerResponse } from 'node:http'
import { HttpException } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { RateLimitResult } from 'memcache-ts'
import type { QuotaProblem } from 'memcache-ts/rate-limit'
import { PROBLEM_JSON } from 'memcache-ts/rate-limit'

/** A request that a rate limit denied: 429 with a problem document (RFC 9457). */
export class RateLimitException extends HttpException {
  /** The result of the limiter. */
  readonly result: RateLimitResult

  constructor(problem: QuotaProblem, result: RateLimitResult) {
    super({ ...problem }, problem.status)
    this.message = problem.detail
    this.result = result
  }
}

/** Returns the exception that the filter of the context can handle. */
export async function denial(
  context: ExecutionContext,
  problem: QuotaProblem,
  result: RateLimitResult,
): Promise<Error> {
  switch (context.getType()) {
    case 'ws': {
      const { WsException } = await import('@nestjs/websockets')
      return new WsException({ ...problem })
    }
    case 'rpc': {
      const { RpcException } = await import('@nestjs/microservices')
      return new RpcException({ ...problem })
    }
    default:
      return new RateLimitException(problem, result)
  }
}

/** The parts of Express's response, which is Node's, and of Fastify's reply that are used here. */
type AnyResponse =
  | Pick<ServerResponse, 'getHeader' | 'setHeader' | 'writeHead'>
  | { header(name: string, value: string): unknown }

/**
 * Makes the JSON of an error be sent as a problem document. On Express, the type is set when the head is written: if it
 * is set earlier, Nest 11 considers it a mistake, warns, and sets `application/json`. A type that a filter of the
 * application sets is kept.
 */
export function sendAsProblem(response: AnyResponse): void {
  if ('header' in response && !('writeHead' in response)) {
    response.header('Content-Type', PROBLEM_JSON)
    return
  }
  const raw = response as ServerResponse
  const writeHead = raw.writeHead.bind(raw)
  raw.writeHead = ((...args: Parameters<typeof writeHead>) => {
    if (!raw.headersSent && String(raw.getHeader('Content-Type')).startsWith('application/json')) {
      raw.setHeader('Content-Type', PROBLEM_JSON)
    }
    return writeHead(...args)
  }) as typeof writeHead
}
