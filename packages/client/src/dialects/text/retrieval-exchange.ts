import {
  isEnd,
  MetaCode,
  parseOutcome,
  parseValueLine,
  writeLineEnd,
  writeNumber,
  writeRequestKey,
  writeWord,
} from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import type { LineAnswers } from '../line-answers.ts'
import { DESYNC, DONE, MORE } from '../line-exchange.ts'
import type { LineExchange } from '../line-exchange.ts'
import { checkRetrieval, textKey } from '../without-meta.ts'

const SPACE = 32

/**
 * gets, gats and touch, for a server without meta commands (protocol.txt, "Retrieval command", "Touch").
 * @param mayHaveLeases whether an empty value with client flags 0 may be a lease that nobody has filled.
 */
export const textRetrieval = (mayHaveLeases: boolean): LineExchange<RetrievalOperation> => ({
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

  line(operation: RetrievalOperation, answers: LineAnswers, buffer: Buffer, start: number, end: number): number {
    const { reply, valueLine } = answers
    if (parseValueLine(valueLine, buffer, start, end)) {
      const key = buffer.toString('utf8', valueLine.keyStart, valueLine.keyEnd)
      if (key !== operation.wireKey || reply.code === MetaCode.VA) return DESYNC
      reply.code = MetaCode.VA
      reply.clientFlags = valueLine.clientFlags
      reply.casUnique.copy(valueLine.casUnique)
      return valueLine.valueLength
    }
    const touched = operation.request.value ? undefined : parseOutcome(buffer, start, end)
    if (touched === 'touched') {
      reply.code = MetaCode.HD
      // It is not told.
      reply.clientFlags = 0
    } else if (touched !== 'notFound' && !isEnd(buffer, start, end)) {
      reply.code = 0
      return answers.unexpected(operation, buffer, start, end)
    }
    if (reply.code === 0) reply.code = MetaCode.EN
    operation.finish(reply)
    reply.code = 0
    return DONE
  },

  value(
    operation: RetrievalOperation,
    { reply }: LineAnswers,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void {
    if (mayHaveLeases && start === end && reply.clientFlags === 0) operation.takeUncertain(reply, buffer, start)
    else operation.take(reply, buffer, start, end, owned)
  },

  valueEnd(): number {
    return MORE
  },
})
