import { Uint64, parseOutcome, writeLineEnd, writeNumber, writeRequestKey, writeWord } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { StoreOperation } from '../../operations/store-operation.ts'
import type { LineAnswers } from '../line-answers.ts'
import { DONE } from '../line-exchange.ts'
import type { LineExchange } from '../line-exchange.ts'
import { refuse, textKey } from '../without-meta.ts'

const SPACE = 32
const NOT_TOLD = new Uint64()

/** set, add, replace, append, prepend and cas (protocol.txt, "Storage commands"). */
export const textStore: LineExchange<StoreOperation> = {
  write({ request }: StoreOperation, requests: RequestBuffer): void {
    if (request.invalidate === true || request.newCas !== undefined || request.vivifyExptime !== undefined) {
      refuse('a flag of ms')
    }
    const { compareCas } = request
    if (compareCas !== undefined && request.mode !== 'set') refuse(`comparing on ${request.mode}`)
    const key = textKey(request.wireKey)
    const out = requests.buffer
    let at = writeWord(out, requests.at, compareCas === undefined ? request.mode : 'cas')
    out[at] = SPACE
    at = writeRequestKey(out, at + 1, key)
    at = writeNumber(out, at, request.clientFlags)
    at = writeNumber(out, at, request.exptime)
    at = writeNumber(out, at, request.bytes.length)
    if (compareCas !== undefined) {
      out[at] = SPACE
      at = compareCas.write(out, at + 1)
    }
    requests.at = writeLineEnd(out, at)
    requests.appendValue(request.bytes)
  },

  line(operation: StoreOperation, answers: LineAnswers, buffer: Buffer, start: number, end: number): number {
    const outcome = parseOutcome(buffer, start, end)
    if (outcome === undefined || outcome === 'deleted' || outcome === 'touched') {
      return answers.unexpected(operation, buffer, start, end)
    }
    operation.finish(outcome, NOT_TOLD)
    return DONE
  },
}
