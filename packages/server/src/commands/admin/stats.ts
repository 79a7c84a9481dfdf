import { Reply } from 'memcache-ts-protocol'
import type { Statistic } from '../../stats/statistics-source.ts'
import { ItemFlag, Segment } from '../../store/item-layout.ts'
import type { AdminActions, AdminResult } from './admin-actions.ts'
import { LineReply } from '../../long-reply.ts'
import { unsigned } from './admin-actions.ts'

const MAX_CLASSES = 64
/** The largest response of `stats cachedump`. */
const MAX_DUMPED_BYTES = 2 * 1024 * 1024
/** Items that `stats cachedump` examines; items with base64 keys are skipped. */
const MAX_DUMP_VISITS = 8192

/** Runs `stats` in all its forms (protocol.txt, "Statistics"). */
export function replyWithStatistics(actions: AdminActions, args: readonly string[]): AdminResult {
  const form = args[0] ?? ''
  if (form === 'reset') {
    actions.resetStatistics()
    return Reply.reset
  }
  if (form === 'detail') return detail(actions, args[1])
  if (form === 'cachedump') return cacheDump(actions, args)
  const statistics = actions.statistics(form)
  return statistics === undefined ? Reply.error : new LineReply(actions.context.replies, statisticLines(statistics))
}

function* statisticLines(statistics: readonly Statistic[]): Generator<string> {
  for (const [name, value] of statistics) yield `STAT ${name} ${value}\r\n`
}

/** Runs `stats detail`: counts by key prefix. */
function detail({ context, options }: AdminActions, word: string | undefined): AdminResult {
  const { prefixes, replies } = context
  if (options.disableDumping) return 'CLIENT_ERROR stats detail not allowed'
  switch (word) {
    case 'on':
      prefixes.enabled = true
      return Reply.ok
    case 'off':
      prefixes.enabled = false
      return Reply.ok
    case 'dump':
      return new LineReply(replies, prefixes.lines())
    default:
      return 'CLIENT_ERROR usage: stats detail on|off|dump'
  }
}

/** Runs `stats cachedump <class> <limit>`: lists keys of a class's COLD items, newest first, as memcached does. */
function cacheDump({ context, options }: AdminActions, args: readonly string[]): AdminResult {
  const { store, clock, replies } = context
  if (options.disableDumping) return 'CLIENT_ERROR stats cachedump not allowed'
  if (args.length < 3) return 'CLIENT_ERROR bad command line'
  const classId = unsigned(args[1])
  const limit = unsigned(args[2])
  if (classId === undefined || limit === undefined) return Reply.badFormat
  if (classId >= MAX_CLASSES) return 'CLIENT_ERROR Illegal slab id'
  const lines: string[] = []
  let bytes = 0
  let visited = 0
  let item = store.lru.head(classId | Segment.cold)
  while (item !== 0 && (limit === 0 || lines.length < limit)) {
    if (bytes >= MAX_DUMPED_BYTES || ++visited > MAX_DUMP_VISITS) break
    if (!store.hasFlag(item, ItemFlag.binaryKey)) {
      const start = store.keyStart(item)
      const key = store.bytes(item).toString('latin1', start, start + store.keyLength(item))
      const exptime = store.exptime(item)
      const line = `ITEM ${key} [${store.valueLength(item)} b; ${exptime === 0 ? 0 : clock.toUnix(exptime)} s]\r\n`
      lines.push(line)
      bytes += line.length
    }
    item = store.lru.next(item)
  }
  return new LineReply(replies, lines)
}
