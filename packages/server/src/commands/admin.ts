import { errorReply, Reply, RequestError } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { PROTOCOL_VERSION } from '../version.ts'
import type { CommandContext } from './command-context.ts'

/** What the rare commands may do to the server, beyond its items. */
export interface AdminActions {
  /** Everything stored until `delaySeconds` from now is gone then. */
  flushAll(delaySeconds: number): void
  setVerbosity(level: number): void
  /** The lines of a statistics form, or `undefined` for one that there is not. */
  statistics(form: string | undefined): string | undefined
  resetStatistics(): void
}

/** What the connection does after an admin command. */
export const AfterAdmin = { goOn: 0, close: 1 } as const

const INTEGER = /^[+-]?\d+$/

/** version, verbosity, flush_all, stats, quit (protocol.txt, "Other commands"). */
export function administer(context: CommandContext, actions: AdminActions, request: Request): number {
  const { replies } = context
  const words = request.words()
  const noreply = words.length > 1 && words.at(-1) === 'noreply'
  const args = noreply ? words.slice(1, -1) : words.slice(1)
  const mark = replies.mark()
  switch (words[0]) {
    case 'version':
      replies.appendText(`VERSION ${PROTOCOL_VERSION}\r\n`)
      return AfterAdmin.goOn
    case 'stats':
      stats(context, actions, words.slice(1))
      return AfterAdmin.goOn
    case 'quit':
      return AfterAdmin.close
    case 'verbosity':
      replies.append(setVerbosity(actions, args))
      break
    case 'flush_all':
      replies.append(flushAll(context, actions, args))
      break
    default:
      replies.append(Reply.error)
      return AfterAdmin.goOn
  }
  if (noreply) replies.rewind(mark)
  return AfterAdmin.goOn
}

function setVerbosity(actions: AdminActions, args: readonly string[]): Buffer {
  const level = args[0]
  if (level === undefined || !INTEGER.test(level)) return Reply.badFormat
  actions.setVerbosity(Number(level))
  return Reply.ok
}

function flushAll({ counters }: CommandContext, actions: AdminActions, args: readonly string[]): Buffer {
  const delay = args[0] ?? '0'
  if (!INTEGER.test(delay)) return errorReply(RequestError.invalidExptime)!
  counters.cmdFlush++
  actions.flushAll(Math.max(0, Number(delay)))
  return Reply.ok
}

function stats({ replies }: CommandContext, actions: AdminActions, args: readonly string[]): void {
  if (args[0] === 'reset') {
    actions.resetStatistics()
    replies.append(Reply.reset)
    return
  }
  const lines = actions.statistics(args[0])
  if (lines === undefined) {
    replies.append(Reply.error)
    return
  }
  replies.appendText(lines)
  replies.append(Reply.end)
}
