import {
  CapitalFlag,
  Flag,
  MetaCode,
  Reply,
  Uint64,
  writeLineEnd,
  writeMetaCode,
  writeUint64Flag,
  writeUint,
} from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { OUT_OF_MEMORY, TOO_LARGE } from '../store/item-store.ts'
import { addDelta, Addition, AddOutcome } from './arithmetic.ts'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'
import { writeEcho, writeEchoFlags, writeTtl } from './meta-get.ts'
import { logStored, markKeyEncoding } from './storage.ts'

const LETTER = { c: 99, k: 107, t: 116, D: 68, N: 78, O: 79, T: 84, minus: 45 }
const SPACE = 32
const casUnique = new Uint64()
const addition = new Addition()
const digits = Buffer.alloc(20)

/** Runs `ma`: adds or subtracts; with N it creates the counter on a miss (protocol.txt, "Meta Arithmetic"). */
export function metaArithmetic(context: CommandContext, request: Request): void {
  const { store, counters, replies } = context
  const decrements = request.mode === LETTER.D || request.mode === LETTER.minus
  const item = findItem(context, request)
  if (item === 0) {
    if ((request.capitalFlags & CapitalFlag.vivify) !== 0) {
      if (!makeCounter(context, request)) replies.append(Reply.outOfMemory)
      else reply(context, request, 'made')
      return
    }
    if (decrements) counters.decrMisses++
    else counters.incrMisses++
    replyWithoutItem(context, request, MetaCode.NF)
    return
  }
  // As in memcached, a cas unique of 0 is ignored, and nothing is compared on a miss.
  const compares = request.hasCas && !request.cas.isZero && store.valueLength(item) > 0 && !store.isChained(item)
  if (compares && !store.readCas(item, casUnique).equals(request.cas)) {
    replyWithoutItem(context, request, MetaCode.EX)
    return
  }
  addition.increments = !decrements
  addition.delta = request.delta
  const outcome = addDelta(context, item, addition)
  if (outcome !== AddOutcome.done) {
    replies.append(outcome === AddOutcome.nonNumeric ? Reply.nonNumeric : Reply.outOfMemory)
    return
  }
  if ((request.capitalFlags & CapitalFlag.newCas) !== 0) store.setCas(addition.item, request.newCas)
  reply(context, request, 'changed')
}

/** Creates the counter with its initial value; returns false if there is no memory. */
function makeCounter(context: CommandContext, request: Request): boolean {
  const { store } = context
  addition.value.copy(request.initial)
  const length = addition.value.write(digits, 0)
  const item = store.reserve(request, 0, length)
  if (item === TOO_LARGE || item === OUT_OF_MEMORY) return false
  markKeyEncoding(context, item, request)
  store.write(item, 0, digits, 0, length)
  const given = (request.capitalFlags & CapitalFlag.newCas) !== 0
  store.link(item, given ? request.newCas : store.nextCas(casUnique), 0)
  addition.item = item
  // memcached looks the item up again before it stores.
  if (context.events.streams !== 0) context.events.fetched(request, 0)
  if (context.events.streams !== 0) logStored(context, item, { status: 'stored', command: 'add' })
  return true
}

/** Writes the response: the flags in their order, where T and N take effect; with q, no response is sent. */
function reply(context: CommandContext, request: Request, counter: 'made' | 'changed'): void {
  const { store, replies, clock } = context
  replies.room()
  const out = replies.buffer
  const withValue = (request.flags & Flag.returnValue) !== 0
  const length = addition.value.write(digits, 0)
  let at = writeMetaCode(out, replies.at, withValue ? MetaCode.VA : MetaCode.HD)
  if (withValue) {
    out[at] = SPACE
    at = writeUint(out, at + 1, length)
  }
  for (let index = 0; index < request.flagCount; index++) {
    switch (request.buffer[request.flagStart[index]!]) {
      case LETTER.c:
        at = writeUint64Flag(out, at, LETTER.c, store.readCas(addition.item, casUnique))
        break
      case LETTER.t:
        at = writeTtl(context, addition.item, at)
        break
      case LETTER.T:
        store.setExptime(addition.item, clock.expiry(request.exptime, store.now))
        break
      case LETTER.N:
        if (counter === 'made') store.setExptime(addition.item, clock.expiry(request.vivifyExptime, store.now))
        break
      case LETTER.O:
      case LETTER.k:
        at = writeEcho(out, at, request, index)
        break
    }
  }
  if ((request.flags & Flag.quiet) !== 0) return
  at = writeLineEnd(out, at)
  if (withValue) {
    at += digits.copy(out, at, 0, length)
    at = writeLineEnd(out, at)
  }
  replies.at = at
}

function replyWithoutItem(context: CommandContext, request: Request, code: number): void {
  const { replies } = context
  replies.room()
  const at = writeMetaCode(replies.buffer, replies.at, code)
  replies.at = writeLineEnd(replies.buffer, writeEchoFlags(context, request, at))
}
