import {
  isEnd,
  parseOutcome,
  parseValueLine,
  writeLineEnd,
  writeNumber,
  writeRequestKey,
  writeWord,
} from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import { DESYNC, DONE, MORE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { checkRetrieval, textKey } from '../refusals.ts'

const SPACE = 32

/**
 * gets, gats and touch, for a server without meta commands (protocol.txt, "Retrieval command", "Touch").
 *
 * @param mayHaveLeases whether an empty value with client flags 0 may be an unfilled lease.
 */
export const textRetrieval = (mayHaveLeases: boolean): LineCodec<RetrievalOperation> => ({
  write({ wireKey, request }: RetrievalOperation, requests: RequestBuffer): void {
    checkRetrieval(request)
    const key = textKey(wireKey)
    const { touchExptime } = request
    const out = requests.buffer
    let at = requests.at
    if (touchExptime === undefined) {
      at = writeWord(out, at, 'gets ')
    } else if (request.value) {
      at = writeNumber(out, writeWord(out, at, 'gats'), touchExptime)
      out[at++] = SPACE
    } else {
      at = writeWord(out, at, 'touch ')
    }
    at = writeRequestKey(out, at, key)
    if (touchExptime !== undefined && !request.value) at = writeNumber(out, at, touchExptime)
    requests.at = writeLineEnd(out, at)
  },

  readLine(
    operation: RetrievalOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    const { classic, valueLine } = responses
    if (parseValueLine(valueLine, buffer, start, end)) {
      const key = buffer.toString('utf8', valueLine.keyStart, valueLine.keyEnd)
      if (key !== operation.wireKey || classic.isFound) return DESYNC
      classic.isFound = true
      classic.clientFlags = valueLine.clientFlags
      classic.casUnique.copy(valueLine.casUnique)
      return valueLine.valueLength
    }
    const touched = operation.request.value ? undefined : parseOutcome(buffer, start, end)
    if (touched === 'touched') {
      classic.isFound = true
      // The classic protocol does not report them.
      classic.clientFlags = 0
      classic.casUnique.set(0, 0)
    } else if (touched !== 'notFound' && !isEnd(buffer, start, end)) {
      classic.isFound = false
      return responses.unexpected(operation, buffer, start, end)
    }
    operation.finish(classic)
    classic.isFound = false
    return DONE
  },

  copiesValue: (operation: RetrievalOperation, { classic }: LineResponses) =>
    operation.copiesValue(classic.clientFlags),

  readValue(
    operation: RetrievalOperation,
    { classic }: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void {
    if (mayHaveLeases && start === end && classic.clientFlags === 0) operation.takeUncertain(classic, buffer, start)
    else operation.take(classic, buffer, start, end, owned)
  },

  endValue(): number {
    return MORE
  },
})
