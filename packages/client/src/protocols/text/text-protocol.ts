import {
  isEnd,
  parseOutcome,
  parseValueLine,
  Uint64,
  writeLineEnd,
  writeNumber,
  writeRequestKey,
  writeWord,
} from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import { DESYNC, DONE, MORE } from '../line/line-codec.ts'
import { LinesCodec, writeStore } from '../line/shared-codecs.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { checkConditions, checkRetrieval, refuse, textKey } from '../refusals.ts'
import type { ArithmeticOperation, DeleteOperation, StoreOperation } from '../../operations/write-operations.ts'
import { counterDigits, NO_COUNTER } from '../../operations/write-operations.ts'
import { KeyListCodec, LineProtocol } from '../line/line-protocol.ts'

const SPACE = 32

/**
 * gets, gats and touch, for a server without meta commands (protocol.txt, "Retrieval command", "Touch").
 *
 * @param mayHaveLeases whether an empty value with client flags 0 may be an unfilled lease.
 */
const textRetrieval = (mayHaveLeases: boolean): LineCodec<RetrievalOperation> => ({
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

const NOT_TOLD = new Uint64()

/** set, add, replace, append, prepend and cas (protocol.txt, "Storage commands"). */
const textStore: LineCodec<StoreOperation> = {
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

/**
 * memcached takes this key at the end of `delete <key>` for the option of the same name, and sends no response. A touch
 * that ends the item's lifetime has a word after the key, and is known to proxies too, unlike `delete <key> 0`.
 */
const NOREPLY = 'noreply'

/** delete (protocol.txt, "Deletion"). */
const textDelete: LineCodec<DeleteOperation> = {
  write({ wireKey, request }: DeleteOperation, requests: RequestBuffer): void {
    if (Object.values(request).some((flag) => flag !== undefined && flag !== false)) refuse('a delete on a condition')
    const key = textKey(wireKey)
    requests.append(key === NOREPLY ? `touch ${key} -1\r\n` : `delete ${key}\r\n`)
  },

  readLine(operation: DeleteOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const outcome = parseOutcome(buffer, start, end)
    const isDeleted = outcome === (operation.wireKey === NOREPLY ? 'touched' : 'deleted')
    if (!isDeleted && outcome !== 'notFound') return responses.unexpected(operation, buffer, start, end)
    operation.finish(isDeleted ? 'deleted' : 'notFound')
    return DONE
  },
}

/**
 * incr and decr (protocol.txt, "Increment/Decrement"). If a missing counter must be created, an `add` follows: it
 * stores nothing if the counter exists, and no other request of this client on the key comes between the two.
 */
const textArithmetic: LineCodec<ArithmeticOperation> = {
  write(operation: ArithmeticOperation, requests: RequestBuffer): void {
    const { wireKey, request } = operation
    const { mode, delta, details, initial, vivifyExptime, ...flags } = request
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
    const digits = counterDigits(buffer.toString('latin1', start, end))
    if (digits === undefined && parseOutcome(buffer, start, end) !== 'notFound') {
      const next = responses.unexpected(operation, buffer, start, end)
      return next === DONE && makes ? MORE : next
    }
    if (digits !== undefined) operation.finish({ digits, casUnique: 0n, ttlSeconds: Infinity })
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

function textWith({ mayHaveLeases }: { readonly mayHaveLeases: boolean }): LineProtocol {
  return new LineProtocol('text', {
    keyList: new KeyListCodec(mayHaveLeases ? 'undistinguished' : 'none'),
    retrieval: textRetrieval(mayHaveLeases),
    store: textStore,
    delete: textDelete,
    arithmetic: textArithmetic,
    lines: new LinesCodec({ hasMeta: false }),
  })
}

/**
 * The classic text protocol for servers that may have meta commands, and therefore leases, although this client does
 * not use them.
 */
export const textProtocol = textWith({ mayHaveLeases: true })

/** The classic text protocol, for servers that are too old for leases. */
export const oldTextProtocol = textWith({ mayHaveLeases: false })
