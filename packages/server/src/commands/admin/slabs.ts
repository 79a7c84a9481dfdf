import { Reply } from 'memcache-ts-protocol'
import { MoveOrder } from '../../store/page-mover.ts'
import type { StoreSettings } from '../../store/store-settings.ts'
import type { AdminActions, AdminResult } from './admin-actions.ts'
import { decimal, integer, unsigned } from './admin-actions.ts'

const MOVE_REPLIES: Readonly<Record<number, Buffer | string>> = {
  [MoveOrder.ok]: Reply.ok,
  [MoveOrder.running]: 'BUSY currently processing reassign request',
  [MoveOrder.badClass]: 'BADCLASS invalid src or dst class id',
  [MoveOrder.noSpare]: 'NOSPARE source class has no spare pages',
  [MoveOrder.same]: 'SAME src and dst class are identical',
}

/** Runs `slabs reassign` and `slabs automove` (protocol.txt, "Slabs Reassign", "Slabs Automove"). */
export function commandSlabs(actions: AdminActions, args: readonly string[]): AdminResult {
  const { settings } = actions.context.store
  if (args[0] === 'automove' && args.length >= 2) return setAutomove(settings, args)
  if (args[0] !== 'reassign' || args.length !== 3) return Reply.error
  if (!settings.slabReassign) return 'CLIENT_ERROR slab reassignment disabled'
  const source = integer(args[1])
  const target = integer(args[2])
  if (source === undefined || target === undefined) return Reply.badFormat
  return MOVE_REPLIES[actions.maintenance.orderMove(source, target)]!
}

function setAutomove(settings: StoreSettings, args: readonly string[]): AdminResult {
  if (args[1] === 'ratio') {
    const ratio = decimal(args[2])
    if (ratio === undefined) return Reply.error
    settings.slabAutomoveRatio = ratio
    return Reply.ok
  }
  // Only external storage keeps memory free, and this server has none.
  if (args[1] === 'freeratio') return decimal(args[2]) === undefined ? Reply.error : Reply.ok
  if (args[1] === 'window') {
    const seconds = unsigned(args[2])
    if (seconds === undefined) return Reply.badFormat
    if (seconds < 3 || seconds > 1800) return 'CLIENT_ERROR automove window too low or too high'
    settings.slabAutomoveWindow = seconds
    return Reply.ok
  }
  const level = unsigned(args[1])
  if (level === undefined) return Reply.badFormat
  if (level > 2) return Reply.error
  settings.slabAutomove = level
  return Reply.ok
}
