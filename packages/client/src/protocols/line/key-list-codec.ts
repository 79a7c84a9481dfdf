import { isEnd, parseValueLine, writeLineEnd, writeRequestKey, writeWord } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import { DESYNC, DONE, MORE } from './line-codec.ts'
import type { LineCodec, LineResponses } from './line-codec.ts'

const SPACE = 32
/** The longest key, and the space before it. */
const KEY_BYTES = 251
/** Of one line: hosted servers and proxies take no longer ones (nutcracker's mbuf is 16 KiB). */
const MAX_LINE_BYTES = 16_000

/**
 * What an empty value with client flags 0 may be: a lease that nobody has filled where the server has leases, which meta commands tell from a
 * value (`told`) and classic ones do not (`untold`).
 */
export type Leases = 'told' | 'untold' | 'none'

/** Classic `get` and `gets` of many keys: VALUE lines with their blocks, then END (protocol.txt, "Retrieval command"). */
export class KeyListCodec implements LineCodec<KeyListOperation> {
  readonly #leases: Leases

  constructor(leases: Leases) {
    this.#leases = leases
  }

  write(operation: KeyListOperation, requests: RequestBuffer): void {
    const { wireKeys } = operation
    const word = operation.withCas ? 'gets' : 'get'
    requests.reserve(wireKeys.length * KEY_BYTES + 64)
    const out = requests.buffer
    let lineStart = requests.at
    let at = writeWord(out, lineStart, word)
    operation.ends = 1
    for (const key of wireKeys) {
      if (at - lineStart > MAX_LINE_BYTES - KEY_BYTES) {
        lineStart = writeLineEnd(out, at)
        at = writeWord(out, lineStart, word)
        operation.ends++
      }
      out[at] = SPACE
      at = writeRequestKey(out, at + 1, key)
    }
    requests.at = writeLineEnd(out, at)
  }

  readLine(operation: KeyListOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const { valueLine } = responses
    if (parseValueLine(valueLine, buffer, start, end)) {
      return operation.match(buffer, valueLine.keyStart, valueLine.keyEnd) ? valueLine.valueLength : DESYNC
    }
    if (!isEnd(buffer, start, end)) {
      const next = responses.unexpected(operation, buffer, start, end)
      return next === DONE ? this.#ended(operation) : next
    }
    if (this.#ended(operation) === MORE) return MORE
    operation.finish()
    return DONE
  }

  /** One of its lines has been answered. */
  #ended(operation: KeyListOperation): number {
    operation.ends--
    return operation.ends > 0 ? MORE : DONE
  }

  readValue(
    operation: KeyListOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void {
    const { clientFlags, casUnique } = responses.valueLine
    if (operation.withCas) operation.casUnique = casUnique.toBigInt()
    const mayBeLease = start === end && clientFlags === 0 && this.#leases !== 'none'
    if (mayBeLease && this.#leases === 'told') operation.takeEmpty()
    else if (mayBeLease) operation.takeUncertain(buffer, start)
    else operation.take(buffer, start, end, clientFlags, owned)
  }

  endValue(): number {
    return MORE
  }
}
