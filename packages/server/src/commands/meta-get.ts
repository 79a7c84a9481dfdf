import {
  CapitalFlag,
  Flag,
  MetaCode,
  Uint64,
  writeLineEnd,
  writeMetaCode,
  writeMetaEcho,
  writeMetaForever,
  writeMetaKey,
  writeFlag,
  writeUintFlag,
  writeUint64Flag,
  writeUint,
} from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { ItemFlag } from '../store/item-layout.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from '../store/item-store.ts'
import type { CommandContext } from './command-context.ts'
import { countGet, countTouch, findItem } from './command-context.ts'
import { markKeyEncoding } from './storage.ts'

const LETTER = {
  c: 99,
  f: 102,
  h: 104,
  k: 107,
  l: 108,
  s: 115,
  t: 116,
  O: 79,
  T: 84,
  N: 78,
  R: 82,
  W: 87,
  X: 88,
  Z: 90,
}
const SPACE = 32
const casUnique = new Uint64()

/** Runs `mg` (protocol.txt, "Meta Get"): flags are returned in the order of the request; W, X and Z are last. */
export function metaGet(context: CommandContext, request: Request): void {
  const { store, replies } = context
  let item = findItem(context, request)
  const vivified = item === 0 && (request.capitalFlags & CapitalFlag.vivify) !== 0
  if (vivified) item = vivify(context, request)
  if ((request.capitalFlags & CapitalFlag.exptime) !== 0) countTouch(context, request, item)
  else countGet(context, request, item)
  if (item === 0) {
    if ((request.flags & Flag.quiet) === 0) writeMiss(context, request)
    return
  }
  replies.room()
  const out = replies.buffer
  // A client that sends the item's cas unique has its value already.
  const known = request.hasCas && store.readCas(item, casUnique).equals(request.cas)
  const withValue = (request.flags & Flag.returnValue) !== 0 && !known
  let at = writeMetaCode(out, replies.at, withValue ? MetaCode.VA : MetaCode.HD)
  if (withValue) {
    out[at] = SPACE
    at = writeUint(out, at + 1, store.valueLength(item))
  }
  let won = vivified
  if (request.flagCount > 0) {
    if (!vivified && wins(context, request, item)) won = true
    at = writeReturnFlags(context, request, item, vivified, at)
  }
  if (store.hasFlag(item, ItemFlag.tokenSent | ItemFlag.stale)) {
    const tokenSent = store.hasFlag(item, ItemFlag.tokenSent)
    if (tokenSent) at = writeFlag(out, at, LETTER.Z)
    if (store.hasFlag(item, ItemFlag.stale)) {
      at = writeFlag(out, at, LETTER.X)
      if (!tokenSent) won = true
    }
  }
  if (won) {
    at = writeFlag(out, at, LETTER.W)
    store.setFlag(item, ItemFlag.tokenSent)
  }
  replies.at = writeLineEnd(out, at)
  if (withValue) replies.appendValue(item)
  else replies.refer(item)
  if ((request.flags & Flag.noBump) === 0) store.fetched(item)
}

/** Creates an empty item for a miss with N, which sets its lifetime; the caller has won the right to fill it. */
function vivify(context: CommandContext, request: Request): number {
  const { store } = context
  const item = store.reserve(request, 0, 0)
  if (item === TOO_LARGE || item === OUT_OF_MEMORY) return 0
  markKeyEncoding(context, item, request)
  const given = (request.capitalFlags & CapitalFlag.newCas) !== 0
  store.link(item, given ? request.newCas : store.nextCas(casUnique), 0)
  return item
}

/**
 * Returns whether R gives this caller the right to recache: the remaining lifetime is under the token, and no other
 * client has the right.
 */
function wins({ store, clock }: CommandContext, request: Request, item: number): boolean {
  if ((request.capitalFlags & CapitalFlag.recache) === 0) return false
  // In memcached, a T before the R has changed the lifetime when R is evaluated.
  const exptime = touchesBefore(request, LETTER.R) ? clock.expiry(request.exptime, store.now) : store.exptime(item)
  return (
    !store.hasFlag(item, ItemFlag.tokenSent) &&
    exptime !== 0 &&
    exptime < clock.expiry(request.recacheExptime, store.now)
  )
}

function touchesBefore(request: Request, letter: number): boolean {
  if ((request.capitalFlags & CapitalFlag.exptime) === 0) return false
  for (let index = 0; index < request.flagCount; index++) {
    const flag = request.buffer[request.flagStart[index]!]
    if (flag === LETTER.T) return true
    if (flag === letter) return false
  }
  return false
}

/** Writes the flags in their order. T and N take effect at their place: a `t` before them shows the old lifetime. */
// oxlint-disable-next-line max-params -- runs for each mg with flags: an object around these would be garbage
function writeReturnFlags(
  context: CommandContext,
  request: Request,
  item: number,
  vivified: boolean,
  start: number,
): number {
  const { store, replies, clock } = context
  const out = replies.buffer
  let at = start
  for (let index = 0; index < request.flagCount; index++) {
    const flagStart = request.flagStart[index]!
    switch (request.buffer[flagStart]) {
      case LETTER.T:
        store.setExptime(item, clock.expiry(request.exptime, store.now))
        break
      case LETTER.N:
        if (vivified) store.setExptime(item, clock.expiry(request.vivifyExptime, store.now))
        break
      case LETTER.s:
        at = writeUintFlag(out, at, LETTER.s, store.valueLength(item))
        break
      case LETTER.t:
        at = writeTtl(context, item, at)
        break
      case LETTER.c:
        at = writeUint64Flag(out, at, LETTER.c, store.readCas(item, casUnique))
        break
      case LETTER.f:
        at = writeUintFlag(out, at, LETTER.f, store.clientFlags(item))
        break
      case LETTER.l:
        at = writeUintFlag(out, at, LETTER.l, store.now - store.lastAccess(item))
        break
      case LETTER.h:
        at = writeUintFlag(out, at, LETTER.h, store.hasFlag(item, ItemFlag.fetched) ? 1 : 0)
        break
      case LETTER.O:
        at = writeMetaEcho(out, at, request.buffer, flagStart, request.flagEnd[index]!)
        break
      case LETTER.k:
        at = writeMetaKey(
          out,
          at,
          store.bytes(item),
          store.keyStart(item),
          store.keyLength(item),
          store.hasFlag(item, ItemFlag.binaryKey),
        )
        break
    }
  }
  return at
}

/** Writes ` t<seconds>`, -1 for an item that never expires; returns the position after it. */
export function writeTtl({ store, replies }: CommandContext, item: number, at: number): number {
  const exptime = store.exptime(item)
  if (exptime === 0) return writeMetaForever(replies.buffer, at, LETTER.t)
  return writeUintFlag(replies.buffer, at, LETTER.t, (exptime - store.now) >>> 0)
}

function writeMiss(context: CommandContext, request: Request): void {
  const { replies } = context
  replies.room()
  const at = writeMetaCode(replies.buffer, replies.at, MetaCode.EN)
  replies.at = writeLineEnd(replies.buffer, writeEchoFlags(context, request, at))
}

/**
 * Writes the flag O or k of a request, which are echoed even if there is no item; returns the position after it.
 *
 * @param index the index of the flag.
 */
// oxlint-disable-next-line max-params -- writes at a position, for each flag
export function writeEcho(out: Buffer, at: number, request: Request, index: number): number {
  const flagStart = request.flagStart[index]!
  if (request.buffer[flagStart] === LETTER.O)
    return writeMetaEcho(out, at, request.buffer, flagStart, request.flagEnd[index]!)
  const binary = (request.flags & Flag.base64) !== 0
  return writeMetaKey(out, at, request.keyBuffer, request.keyStart, request.keyLength, binary)
}

/** Writes O and k; returns the position after them. */
export function writeEchoFlags({ replies }: CommandContext, request: Request, start: number): number {
  let at = start
  for (let index = 0; index < request.flagCount; index++) {
    const letter = request.buffer[request.flagStart[index]!]
    if (letter === LETTER.O || letter === LETTER.k) at = writeEcho(replies.buffer, at, request, index)
  }
  return at
}

/** Runs `me`: returns the metadata of an item in readable form (protocol.txt, "Meta Debug"). */
export function metaDebug(context: CommandContext, request: Request): void {
  const { store, replies } = context
  const item = findItem(context, request)
  if (item === 0) {
    replies.room()
    replies.at = writeLineEnd(replies.buffer, writeMetaCode(replies.buffer, replies.at, MetaCode.EN))
    return
  }
  const exptime = store.exptime(item)
  const size = store.itemBytes(item)
  const encoding = store.hasFlag(item, ItemFlag.binaryKey) ? 'base64' : 'latin1'
  const start = store.keyStart(item)
  const key = store.bytes(item).toString(encoding, start, start + store.keyLength(item))
  replies.appendText(
    `ME ${key} exp=${exptime === 0 ? -1 : exptime - store.now} la=${store.now - store.lastAccess(item)}` +
      ` cas=${store.readCas(item, casUnique).toBigInt()} fetch=${store.hasFlag(item, ItemFlag.fetched) ? 'yes' : 'no'}` +
      ` cls=${store.classOf(item)} size=${size}\r\n`,
  )
}
