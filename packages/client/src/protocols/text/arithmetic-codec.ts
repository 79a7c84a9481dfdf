import { parseOutcome } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import { NO_COUNTER } from '../../operations/arithmetic-operation.ts'
import type { ArithmeticOperation } from '../../operations/arithmetic-operation.ts'
import { DESYNC, DONE, MORE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { refuse, textKey } from '../refusals.ts'

/**
 * incr and decr (protocol.txt, "Increment/Decrement"). If a missing counter must be created, an `add` follows: it
 * stores nothing if the counter exists, and no other request of this client on the key comes between the two.
 */
export const textArithmetic: LineCodec<ArithmeticOperation> = {
  write(operation: ArithmeticOperation, requests: RequestBuffer): void {
    const { wireKey, mode, delta, details, initial, vivifyExptime, ...flags } = operation.request
    if (details || Object.values(flags).some((flag) => flag !== undefined)) refuse('a flag of ma')
    if ((initial === undefined) !== (vivifyExptime === undefined)) refuse('a flag of ma')
    const key = textKey(wireKey)
    const counting = `${mode} ${key} ${delta.toBigInt()}\r\n`
    if (initial === undefined) {
      requests.append(counting)
      return
    }
    const digits = String(initial.toBigInt())
    operation.linesLeft = 2
    requests.append(`${counting}add ${key} 0 ${vivifyExptime} ${digits.length}\r\n${digits}\r\n`)
  },

  readLine(
    operation: ArithmeticOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    const makes = operation.request.initial !== undefined
    if (makes && --operation.linesLeft === 0) return lineOfAdd(operation, responses, buffer, start, end)
    // A decremented number keeps its length: spaces follow it.
    const digits = buffer.toString('latin1', start, end).trimEnd()
    const isCounted = /^\d+$/.test(digits)
    if (!isCounted && parseOutcome(buffer, start, end) !== 'notFound') {
      const next = responses.unexpected(operation, buffer, start, end)
      return next === DONE && makes ? MORE : next
    }
    if (isCounted) operation.finish({ digits, casUnique: 0n, ttlSeconds: Infinity })
    else if (!makes) operation.finish(NO_COUNTER)
    return makes ? MORE : DONE
  },
}

/**
 * Reads the response to the `add`: the counter was created, was counted already, or was created by another client in
 * between.
 */
function lineOfAdd(
  operation: ArithmeticOperation,
  responses: LineResponses,
  buffer: Buffer,
  start: number,
  end: number,
): number {
  const outcome = parseOutcome(buffer, start, end)
  if (outcome === 'stored') {
    operation.finish({ digits: String(operation.request.initial!.toBigInt()), casUnique: 0n, ttlSeconds: Infinity })
  } else if (outcome === 'notStored') {
    operation.finish(NO_COUNTER)
  } else {
    const next = responses.unexpected(operation, buffer, start, end)
    // After a refused line it is unknown whether its data block was read as a command.
    const isRefused = buffer[start] !== 'S'.charCodeAt(0)
    return isRefused ? DESYNC : next
  }
  return DONE
}
