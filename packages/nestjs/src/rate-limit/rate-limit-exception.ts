import { HttpException } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { RateLimitResult } from 'memcache-ts'
import type { QuotaProblem } from 'memcache-ts/rate-limit'

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
