import { parseOutcome } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import { NO_COUNTER } from '../../operations/arithmetic-operation.ts'
import type { ArithmeticOperation } from '../../operations/arithmetic-operation.ts'
import type { LineAnswers } from '../line-answers.ts'
import { DONE } from '../line-exchange.ts'
import type { LineExchange } from '../line-exchange.ts'
import { refuse, textKey } from '../without-meta.ts'

/** incr and decr (protocol.txt, "Increment/Decrement"). */
export const textArithmetic: LineExchange<ArithmeticOperation> = {
  write({ request }: ArithmeticOperation, requests: RequestBuffer): void {
    const { wireKey, mode, delta, details, ...flags } = request
    if (details || Object.values(flags).some((flag) => flag !== undefined)) refuse('a flag of ma')
    requests.append(`${mode} ${textKey(wireKey)} ${delta.toBigInt()}\r\n`)
  },

  line(operation: ArithmeticOperation, answers: LineAnswers, buffer: Buffer, start: number, end: number): number {
    // A decremented number keeps its length, with spaces behind it.
    const digits = buffer.toString('latin1', start, end).trimEnd()
    if (/^\d+$/.test(digits)) operation.finish({ digits, casUnique: 0n, ttlSeconds: Infinity })
    else if (parseOutcome(buffer, start, end) === 'notFound') operation.finish(NO_COUNTER)
    else return answers.unexpected(operation, buffer, start, end)
    return DONE
  },
}
