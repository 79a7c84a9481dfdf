import { parseOutcome, Uint64, writeLineEnd, writeNumber, writeRequestKey, writeWord } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { StoreOperation } from '../../operations/store-operation.ts'
import { DONE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { writeStore } from '../line/write-store.ts'
import { checkConditions, refuse, textKey } from '../refusals.ts'

const SPACE = 32
const NOT_TOLD = new Uint64()

/** set, add, replace, append, prepend and cas (protocol.txt, "Storage commands"). */
export const textStore: LineCodec<StoreOperation> = {
  write(operation: StoreOperation, requests: RequestBuffer): void {
    const { mode, conditions } = operation
    checkConditions(conditions)
    const { compareCas } = conditions
    if (compareCas !== undefined && mode !== 'set') refuse(`comparing on ${mode}`)
    writeStore(operation, requests, writeLine)
  },

  readLine(operation: StoreOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const outcome = parseOutcome(buffer, start, end)
    if (outcome === undefined || outcome === 'deleted' || outcome === 'touched') {
      return responses.unexpected(operation, buffer, start, end)
    }
    operation.finish(outcome, NOT_TOLD)
    return DONE
  },
}

function writeLine(operation: StoreOperation, requests: RequestBuffer, length: number): void {
  const {
    mode,
    conditions: { compareCas },
  } = operation
  const key = textKey(operation.wireKey)
  const out = requests.buffer
  let at = writeWord(out, requests.at, compareCas === undefined ? mode : 'cas')
  out[at] = SPACE
  at = writeRequestKey(out, at + 1, key)
  at = writeNumber(out, at, operation.clientFlags)
  at = writeNumber(out, at, operation.exptime)
  at = writeNumber(out, at, length)
  if (compareCas !== undefined) {
    out[at] = SPACE
    at = compareCas.write(out, at + 1)
  }
  requests.at = writeLineEnd(out, at)
}
