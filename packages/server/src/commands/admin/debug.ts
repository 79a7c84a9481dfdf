import { hashKey, Reply } from 'memcache-ts-protocol'
import type { CommandContext } from '../command-context.ts'
import type { AdminActions, AdminResult } from './admin-actions.ts'
import { integer } from './admin-actions.ts'

/** Items that `debugitem` holds, by the key they were found with. */
const held = new WeakMap<CommandContext, Map<string, number[]>>()

/**
 * Runs the commands of memcached's debug build for its tests: `debugtime <seconds>` moves the clock, and `debugitem
 * lock|ref|unlock|unref <key>` pins an item, as a response does while it is being sent.
 */
export function debug(actions: AdminActions, word: string, args: readonly string[]): AdminResult {
  const { context } = actions
  if (word === 'debugitem') return holdItem(context, args)
  const seconds = integer(args[0])
  if (seconds === undefined) return Reply.error
  context.clock.advance(seconds)
  actions.tick()
  return Reply.ok
}

function holdItem(context: CommandContext, [action, key]: readonly string[]): AdminResult {
  if (action === undefined || key === undefined) return Reply.error
  let items = held.get(context)
  if (items === undefined) held.set(context, (items = new Map()))
  const ofKey = items.get(key) ?? []
  if (action === 'unlock' || action === 'unref') {
    const item = ofKey.pop()
    if (item === undefined) return 'MISS'
    context.store.unpin(item)
    return Reply.ok
  }
  if (action !== 'lock' && action !== 'ref') return Reply.error
  const keyBuffer = Buffer.from(key, 'latin1')
  const keyLength = keyBuffer.length
  const item = context.store.find({ keyBuffer, keyStart: 0, keyLength, keyHash: hashKey(keyBuffer, 0, keyLength) })
  if (item === 0) return 'MISS'
  context.store.pin(item)
  items.set(key, [...ofKey, item])
  return Reply.ok
}
