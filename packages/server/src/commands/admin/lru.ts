import { Reply } from 'memcache-ts-protocol'
import type { StoreSettings } from '../../store/store-settings.ts'
import type { AdminActions, AdminResult } from './admin-actions.ts'
import { decimal, integer, unsigned } from './admin-actions.ts'

/** Runs `lru tune`, `lru mode` and `lru temp_ttl` (protocol.txt, "LRU tuning"). */
export function changeLru({ context, options }: AdminActions, args: readonly string[]): AdminResult {
  const { settings } = context.store
  const { lruMaintainer } = options.tuning
  if (args[0] === 'tune' && args.length >= 5) return tune(settings, args)
  if (args[0] === 'mode' && args.length >= 2 && lruMaintainer) {
    if (args[1] !== 'flat' && args[1] !== 'segmented') return Reply.error
    settings.lruSegmented = args[1] === 'segmented'
    return Reply.ok
  }
  if (args[0] === 'temp_ttl' && args.length >= 2 && lruMaintainer) {
    const seconds = integer(args[1])
    if (seconds === undefined) return Reply.error
    settings.temporaryTtlSeconds = seconds < 0 ? undefined : seconds
    return Reply.ok
  }
  return Reply.error
}

function tune(settings: StoreSettings, args: readonly string[]): AdminResult {
  const hotPercent = unsigned(args[1])
  const warmPercent = unsigned(args[2])
  const hotFactor = decimal(args[3])
  const warmFactor = decimal(args[4])
  if (hotPercent === undefined || warmPercent === undefined || hotFactor === undefined || warmFactor === undefined) {
    return Reply.error
  }
  if (hotPercent + warmPercent > 80) return 'ERROR hot and warm pcts must not exceed 80'
  if (hotFactor <= 0 || warmFactor <= 0) return 'ERROR hot/warm age factors must be greater than 0'
  settings.hotLruPercent = hotPercent
  settings.warmLruPercent = warmPercent
  settings.hotMaxFactor = hotFactor
  settings.warmMaxFactor = warmFactor
  return Reply.ok
}
