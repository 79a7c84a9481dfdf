import { Command, Reply, Uint64, writeLineEnd } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { ItemFlag } from '../store/item-layout.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from '../store/item-store.ts'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

/** Digits of 2^64 - 1. */
const MAX_NUMBER_BYTES = 20
const SPACE = 32
const PLUS = 43

/** The outcome of an addition. */
export const AddOutcome = { done: 0, nonNumeric: 1, outOfMemory: 2 } as const

/** The input and the outcome of `addDelta`; refilled for each request. */
export class Addition {
  increments = true
  delta = new Uint64()
  /** Outcome: the number that is stored now, and the item that holds it. */
  readonly value = new Uint64()
  item = 0
}

const digits = Buffer.alloc(MAX_NUMBER_BYTES)
const addition = new Addition()
const nextCas = new Uint64()

/** Runs `incr` and `decr` (protocol.txt, "Increment/Decrement"). */
export function incrOrDecr(context: CommandContext, request: Request): void {
  const { counters, replies } = context
  const increments = request.command === Command.incr
  const item = findItem(context, request)
  if (item === 0) {
    if (increments) counters.incrMisses++
    else counters.decrMisses++
    if (!request.noreply) replies.append(Reply.notFound)
    return
  }
  addition.increments = increments
  addition.delta = request.delta
  const outcome = addDelta(context, item, addition)
  if (request.noreply) return
  if (outcome === AddOutcome.done) {
    replies.room()
    replies.at = writeLineEnd(replies.buffer, addition.value.write(replies.buffer, replies.at))
  } else {
    replies.append(outcome === AddOutcome.nonNumeric ? Reply.nonNumeric : Reply.outOfMemory)
  }
}

/**
 * Adds to or subtracts from the number that an item holds. A number that is no longer than before is written in place
 * and padded with spaces, unless a reply still refers to the item: then, as for a longer one, a new item is made.
 */
export function addDelta(context: CommandContext, item: number, into: Addition): number {
  const { store, counters, replies } = context
  if (!readNumber(context, item, into.value)) return AddOutcome.nonNumeric
  if (into.increments) {
    into.value.add(into.delta)
    counters.incrHits[store.classOf(item)]!++
  } else {
    into.value.subtract(into.delta)
    counters.decrHits[store.classOf(item)]!++
  }
  const length = into.value.write(digits, 0)
  const oldLength = store.valueLength(item)
  if (length > oldLength || replies.isSending(item)) return replaceNumber(context, item, into)
  const start = store.valueStart(item)
  digits.copy(store.bytes(item), start, 0, length)
  store.bytes(item).fill(SPACE, start + length, start + oldLength)
  store.setCas(item, store.nextCas(nextCas))
  store.bump(item)
  into.item = item
  return AddOutcome.done
}

/** Writes the number into a new item, in place of the old one. */
function replaceNumber(context: CommandContext, item: number, into: Addition): number {
  const { store } = context
  const length = into.value.write(digits, 0)
  store.pin(item)
  const fresh = store.reserve(store.keyOf(item), store.exptime(item), length)
  const binaryKey = store.hasFlag(item, ItemFlag.binaryKey)
  if (fresh === TOO_LARGE || fresh === OUT_OF_MEMORY) {
    store.unpin(item)
    return AddOutcome.outOfMemory
  }
  if (binaryKey) store.setFlag(fresh, ItemFlag.binaryKey)
  store.write(fresh, 0, digits, 0, length)
  store.link(fresh, store.nextCas(nextCas), item)
  store.unpin(item)
  into.item = fresh
  return AddOutcome.done
}

/**
 * Reads the number that an item holds, as strtoull does: white space and a plus may stand before it, and white space
 * with anything after it.
 */
function readNumber({ store }: CommandContext, item: number, into: Uint64): boolean {
  if (store.isChained(item)) return false
  const bytes = store.bytes(item)
  let start = store.valueStart(item)
  const end = start + store.valueLength(item)
  while (start < end && isSpace(bytes[start]!)) start++
  if (bytes[start] === PLUS) start++
  let stop = start
  while (stop < end && !isSpace(bytes[stop]!)) stop++
  return into.parse(bytes, start, stop)
}

function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 9 && byte <= 13)
}
