import type { AdminActions } from '../commands/admin/admin-actions.ts'
import { LineReply } from '../commands/admin/line-reply.ts'
import type { LongReply } from '../long-reply.ts'
import type { BinaryReplies } from './binary-replies.ts'

/**
 * `stat`: a packet for each statistic, and an empty one at the end. As memcached: `reset` and `detail on|off` are
 * answered by that one alone, `detail dump` is one packet. `undefined` if the form is unknown.
 */
export function binaryStatistics(actions: AdminActions, replies: BinaryReplies, form: string): LongReply | undefined {
  const packets = packetsOf(actions, replies, form)
  return packets === undefined ? undefined : new LineReply(actions.context.replies, packets, replies.statistic('', ''))
}

function packetsOf(actions: AdminActions, replies: BinaryReplies, form: string): Iterable<string> | undefined {
  const { prefixes } = actions.context
  if (form === 'reset') {
    actions.resetStatistics()
    return []
  }
  if (form.startsWith('detail')) {
    if (actions.options.disableDumping) return undefined
    if (form === 'detail dump') return [replies.statistic('detailed', `${[...prefixes.lines()].join('')}END\r\n`)]
    if (form !== 'detail on' && form !== 'detail off') return undefined
    prefixes.enabled = form === 'detail on'
    return []
  }
  const statistics = actions.statistics(form)
  return statistics?.map(([name, value]) => replies.statistic(name, String(value)))
}
