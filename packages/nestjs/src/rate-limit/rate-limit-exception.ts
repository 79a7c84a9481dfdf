import type { ServerResponse } from 'node:http'
import { HttpException } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { RateLimitResult } from 'memcache-ts'
import type { QuotaProblem } from 'memcache-ts/rate-limit'
import { PROBLEM_JSON } from 'memcache-ts/rate-limit'

/** A request that a rate limit denied: 429 with a problem document (RFC 9457). */
export class RateLimitException extends HttpException {
  /** What the limiter said. */
  readonly result: RateLimitResult

  constructor(problem: QuotaProblem, result: RateLimitResult) {
    super({ ...problem }, problem.status)
    this.message = problem.detail
    this.result = result
  }
}

/** The exception that the context's own filter knows how to answer with. */
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

/** What Express's response, which is Node's, and Fastify's reply have, of what is needed. */
type AnyResponse =
  | Pick<ServerResponse, 'getHeader' | 'setHeader' | 'writeHead'>
  | { header(name: string, value: string): unknown }

/**
 * Has an error's JSON sent as the problem document that it is. On Express that is said as late as when the head is
 * written: Nest 11 takes what is said before for a mistake, warns, and says `application/json`. What a filter of the
 * application's own sends is left as it says.
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
