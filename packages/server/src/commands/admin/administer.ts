import { errorReply, Reply, RequestError } from 'memcache-ts-protocol'
import { MAX_MEMORY_MB } from '../../store/page-memory.ts'
import { PROTOCOL_VERSION } from '../../version.ts'
import { readStreams } from '../../watch/event-log.ts'
import { AfterAdmin, integer, unsigned } from './admin-actions.ts'
import type { AdminActions, AdminCommand, AdminResult } from './admin-actions.ts'
import { debug } from './debug.ts'
import { changeLru } from './lru.ts'
import { commandLruCrawler } from './lru-crawler.ts'
import { commandSlabs } from './slabs.ts'
import { replyWithStatistics } from './stats.ts'

const MIN_MEMORY_MB = 8
/** A larger number of megabytes was probably meant as bytes. */
const MAX_PLAUSIBLE_MB = 1_000_000_000

/** Runs an admin command, which is parsed as words (protocol.txt, "Other commands" and the commands for operators). */
export function administer(actions: AdminActions, command: AdminCommand): AdminResult {
  const [word, ...args] = command.words
  switch (word) {
    case 'version':
      return `VERSION ${PROTOCOL_VERSION}`
    case 'stats':
      return replyWithStatistics(actions, args)
    case 'quit':
      return AfterAdmin.close
    case 'refresh_certs':
      return refreshCertificates(actions, args)
    case 'watch':
      return watch(actions, args, command)
  }
  const noreply = args.at(-1) === 'noreply'
  const result = operate(actions, command)
  return noreply && (typeof result === 'string' || Buffer.isBuffer(result)) ? AfterAdmin.goOn : result
}

function operate(actions: AdminActions, command: AdminCommand): AdminResult {
  const [word = '', ...args] = command.words
  switch (word) {
    case 'flush_all':
      return flushAll(actions, args)
    case 'verbosity':
      return setVerbosity(actions, args)
    case 'cache_memlimit':
      return setMemoryLimit(actions, args)
    case 'lru':
      return changeLru(actions, args)
    case 'lru_crawler':
      return commandLruCrawler(actions, args, command)
    case 'slabs':
      return commandSlabs(actions, args)
    case 'shutdown':
      return shutDown(actions, args)
    case 'debugtime':
    case 'debugitem':
      return actions.options.debugCommands ? debug(actions, word, args) : Reply.error
    default:
      return Reply.error
  }
}

/** Reads the certificates again. As in memcached, `noreply` hides only the success. */
function refreshCertificates(actions: AdminActions, args: readonly string[]): AdminResult {
  const line = actions.refreshCertificates()
  return line === 'OK' && args.at(-1) === 'noreply' ? AfterAdmin.goOn : line
}

function flushAll(actions: AdminActions, args: readonly string[]): AdminResult {
  actions.context.counters.cmdFlush++
  if (actions.options.disableFlushAll) return 'CLIENT_ERROR flush_all not allowed'
  const delayed = args.length > (args.at(-1) === 'noreply' ? 1 : 0)
  const delay = delayed ? integer(args[0]) : 0
  if (delay === undefined) return errorReply(RequestError.invalidExptime)!
  actions.flushAll(Math.max(0, delay))
  return Reply.ok
}

function setVerbosity(actions: AdminActions, args: readonly string[]): AdminResult {
  const level = unsigned(args[0])
  if (level === undefined) return Reply.badFormat
  actions.setVerbosity(level)
  return Reply.ok
}

function setMemoryLimit({ context }: AdminActions, args: readonly string[]): AdminResult {
  const megabytes = unsigned(args[0])
  if (megabytes === undefined) return Reply.error
  if (megabytes < MIN_MEMORY_MB) return 'MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m'
  if (megabytes > MAX_PLAUSIBLE_MB) return 'MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes'
  if (megabytes > MAX_MEMORY_MB) return 'MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust'
  context.store.setMemoryLimit(megabytes * 1024 * 1024)
  return Reply.ok
}

function shutDown(actions: AdminActions, args: readonly string[]): AdminResult {
  if (!actions.options.enableShutdown) return 'SERVER_ERROR: shutdown not enabled'
  const graceful = args[0] === 'graceful'
  if (args.length > 1 || (args.length === 1 && !graceful)) return 'CLIENT_ERROR invalid shutdown mode'
  actions.shutDown(graceful)
  return AfterAdmin.shutDown
}

function watch(
  { context, options }: AdminActions,
  args: readonly string[],
  { isPipelining }: AdminCommand,
): AdminResult {
  if (options.disableWatch) return 'CLIENT_ERROR watch commands not allowed'
  if (isPipelining) return 'ERROR cannot pipeline other commands before watch'
  const streams = readStreams(args)
  if (streams === undefined) return Reply.error
  return context.events.isFull ? 'WATCHER_TOO_MANY log watcher limit reached' : { streams }
}
