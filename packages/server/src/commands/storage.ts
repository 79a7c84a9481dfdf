import { CapitalFlag, Command, Flag, Uint64 } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { ItemFlag } from '../store/item-layout.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from '../store/item-store.ts'
import type { ItemStore } from '../store/item-store.ts'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

/** The outcome of a storage command. */
export const StoreOutcome = {
  stored: 0,
  notStored: 1,
  exists: 2,
  notFound: 3,
} as const

/** A `StoreOutcome` in the lines of watchers. */
const STATUS_WORDS = ['stored', 'not_stored', 'exists', 'not_found'] as const

/** A storage command in the lines of watchers. */
const COMMAND_WORDS: Readonly<Record<number, string>> = {
  [Command.set]: 'set',
  [Command.add]: 'add',
  [Command.replace]: 'replace',
  [Command.append]: 'append',
  [Command.prepend]: 'prepend',
  [Command.cas]: 'cas',
}

/** A storage command, its conditions and its outcome; refilled for each request. */
export class StoreOrder {
  /** A storage command of the text protocol; the meta modes are converted to these. */
  command: number = Command.set
  /** Whether append and prepend create the item on a miss. */
  vivifies = false
  hasCas = false
  readonly cas = new Uint64()
  hasNewCas = false
  readonly newCas = new Uint64()
  /** Whether a cas unique lower than the item's stores it, marked stale (`ms … I`). */
  acceptsStale = false

  /** The item that the key has now; 0 if there is none. */
  old = 0

  /** A `StoreOutcome`: how the storing ended. */
  outcome: number = StoreOutcome.stored
  /** Outcome: the cas unique that the item has now; 0 if nothing was stored. */
  readonly storedCas = new Uint64()
  /** Outcome: the length of the value as stored. */
  storedLength = 0
}

const itemCas = new Uint64()

/** Reserves an item for the data block of a storage request: a reference, `TOO_LARGE` or `OUT_OF_MEMORY`. */
export function reserveFor(context: CommandContext, request: Request, exptime: number): number {
  const { store, counters, clock } = context
  const item = store.reserve(request, clock.expiry(exptime, store.now), request.valueLength)
  if (item === TOO_LARGE) counters.storeTooLarge++
  else if (item === OUT_OF_MEMORY) counters.storeNoMemory++
  if (item <= OUT_OF_MEMORY && context.events.streams !== 0) logRefused(context, request, item)
  return item
}

/** Reports an item for which there is no room. As in memcached, the line has neither size nor lifetime. */
function logRefused(context: CommandContext, request: Request, result: number): void {
  const { keyBuffer: key, keyStart, keyLength } = request
  const status = result === TOO_LARGE ? 'too_large' : 'no_memory'
  const command = COMMAND_WORDS[request.command] ?? 'set'
  context.events.stored({ status, command, key, keyStart, keyLength, ttl: 0, classId: 0, valueLength: 0 })
}

/** Reports the outcome of a storage command to watchers; call it only if `events.streams` is not 0. */
export function logStored(
  { store, events }: CommandContext,
  item: number,
  { status, command }: { readonly status: string; readonly command: string },
): void {
  const exptime = store.exptime(item)
  events.stored({
    status,
    command,
    key: store.bytes(item),
    keyStart: store.keyStart(item),
    keyLength: store.keyLength(item),
    ttl: exptime === 0 ? 0 : exptime - store.now,
    classId: store.classOf(item),
    valueLength: store.valueLength(item),
  })
}

/** Removes the item of the request's key: an old value must not outlive a set that failed for lack of memory. */
export function dropOld(context: CommandContext, request: Request): void {
  const old = findItem(context, request)
  if (old !== 0) context.store.unlink(old)
}

/**
 * Carries out a storage command with its filled item, which is linked or released afterwards; the outcome is in the
 * order (protocol.txt, "Storage commands"; for `acceptsStale`, "Meta set").
 */
export function storeItem(context: CommandContext, item: number, order: StoreOrder): void {
  const { store, counters } = context
  counters.cmdSet[store.classOf(item)]!++
  order.storedCas.set(0, 0)
  order.storedLength = store.valueLength(item)
  if (!order.hasNewCas) store.nextCas(order.newCas)
  order.old = store.findSameKey(item)
  if (context.events.streams !== 0) context.events.fetched(store.keyOf(item), order.old)
  const outcome = decide(context, item, order)
  order.outcome = outcome
  if (outcome !== StoreOutcome.stored) {
    if (context.events.streams !== 0) logOrder(context, item, order)
    store.release(item)
  }
}

function logOrder(context: CommandContext, item: number, order: StoreOrder): void {
  logStored(context, item, { status: STATUS_WORDS[order.outcome]!, command: COMMAND_WORDS[order.command]! })
}

function decide(context: CommandContext, item: number, order: StoreOrder): number {
  const { store } = context
  const { old } = order
  switch (order.command) {
    case Command.add:
      if (old !== 0) {
        // As memcached: a failed add is an access.
        store.bump(old)
        return StoreOutcome.notStored
      }
      break
    case Command.replace:
      if (old === 0) return StoreOutcome.notStored
      break
    case Command.append:
    case Command.prepend:
      if (old !== 0) return extend(context, item, order)
      if (!order.vivifies) return StoreOutcome.notStored
      break
    case Command.cas:
      if (!casAllows(context, item, order)) return old === 0 ? StoreOutcome.notFound : StoreOutcome.exists
      break
  }
  finish(context, item, order)
  return StoreOutcome.stored
}

function casAllows(context: CommandContext, item: number, order: StoreOrder): boolean {
  const { store, counters } = context
  const { old } = order
  if (old === 0) {
    counters.casMisses++
    return false
  }
  store.readCas(old, itemCas)
  // A cas unique of 0 means none: it equals no other, not even that of an item without one (`-C`).
  if (!order.cas.isZero && itemCas.equals(order.cas)) {
    counters.casHits[store.classOf(old)]!++
    return true
  }
  if (order.acceptsStale && !order.cas.isZero && order.cas.isLessThan(itemCas)) {
    counters.casHits[store.classOf(old)]!++
    // A stale value does not live longer than the value that it replaces.
    store.setExptime(item, store.exptime(old))
    store.setFlag(item, ItemFlag.stale)
    if (store.hasFlag(old, ItemFlag.tokenSent)) store.setFlag(item, ItemFlag.tokenSent)
    return true
  }
  counters.casBadval[store.classOf(old)]!++
  return false
}

/** Runs `append` and `prepend`: stores a new item of both values, with the client flags and lifetime of the old item. */
function extend(context: CommandContext, item: number, order: StoreOrder): number {
  const { store } = context
  const { old } = order
  if (order.hasCas && !order.cas.isZero && !store.readCas(old, itemCas).equals(order.cas)) return StoreOutcome.exists
  // The old item is pinned, since reserving the new one may evict it.
  store.pin(old)
  const length = store.valueLength(old) + store.valueLength(item)
  const joined = store.reserve(store.keyOf(old), store.exptime(old), length)
  if (joined === TOO_LARGE || joined === OUT_OF_MEMORY) {
    store.unpin(old)
    return StoreOutcome.notStored
  }
  const [first, second] = order.command === Command.append ? [old, item] : [item, old]
  const complete =
    copyInto(store, { item: joined, offset: 0 }, first) &&
    copyInto(store, { item: joined, offset: store.valueLength(first) }, second)
  if (!complete) {
    store.release(joined)
    store.unpin(old)
    return StoreOutcome.notStored
  }
  if (store.hasFlag(old, ItemFlag.binaryKey)) store.setFlag(joined, ItemFlag.binaryKey)
  store.release(item)
  order.storedLength = length
  finish(context, joined, order)
  store.unpin(old)
  return StoreOutcome.stored
}

/** A place in the value of an item. */
interface ValuePlace {
  readonly item: number
  readonly offset: number
}

function copyInto(store: ItemStore, { item, offset }: ValuePlace, source: number): boolean {
  let at = offset
  for (const slice of store.valueSlices(source)) {
    if (!store.write(item, at, slice, 0, slice.length)) return false
    at += slice.length
  }
  return true
}

function finish(context: CommandContext, item: number, order: StoreOrder): void {
  order.outcome = StoreOutcome.stored
  context.store.link(item, order.newCas, order.old)
  if (context.events.streams !== 0) logOrder(context, item, order)
  context.store.readCas(item, order.storedCas)
}

/** Fills the order for a text storage command. */
export function orderForText(order: StoreOrder, request: Request): void {
  order.command = request.command
  order.vivifies = false
  order.hasCas = request.hasCas
  order.cas.copy(request.cas)
  order.hasNewCas = false
  order.acceptsStale = false
}

const LETTER_A = 65
const LETTER_E = 69
const LETTER_P = 80
const LETTER_R = 82

/** Fills the order for `ms`, whose modes are the text protocol's commands (protocol.txt, "Meta set"). */
export function orderForMeta(order: StoreOrder, request: Request): void {
  const { capitalFlags, mode } = request
  if (mode === LETTER_E) order.command = Command.add
  else if (mode === LETTER_A) order.command = Command.append
  else if (mode === LETTER_P) order.command = Command.prepend
  else if (mode === LETTER_R) order.command = Command.replace
  else order.command = Command.set
  const replaces = order.command === Command.set || order.command === Command.replace
  if (request.hasCas && replaces) order.command = Command.cas
  order.vivifies = (capitalFlags & CapitalFlag.vivify) !== 0
  order.hasCas = request.hasCas
  order.cas.copy(request.cas)
  order.hasNewCas = (capitalFlags & CapitalFlag.newCas) !== 0 && !request.newCas.isZero
  if (order.hasNewCas) order.newCas.copy(request.newCas)
  order.acceptsStale = order.command === Command.cas && (capitalFlags & CapitalFlag.invalidate) !== 0
}

/** Returns the exptime of an `ms`: that of N if append or prepend may create the item, otherwise that of T. */
export function metaSetExptime(request: Request): number {
  const vivifies = (request.capitalFlags & CapitalFlag.vivify) !== 0
  const extendsItem = request.mode === LETTER_A || request.mode === LETTER_P
  return vivifies && extendsItem ? request.vivifyExptime : request.exptime
}

/** Marks the key of a reserved item as binary if it was sent as base64. */
export function markKeyEncoding(context: CommandContext, item: number, request: Request): void {
  if ((request.flags & Flag.base64) !== 0) context.store.setFlag(item, ItemFlag.binaryKey)
}
