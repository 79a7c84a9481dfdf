import { Reply } from 'memcache-ts-protocol'
import { Segment } from '../../store/item-layout.ts'
import { ALL_LISTS } from '../../store/lru-crawler.ts'
import type { AdminActions, AdminCommand, AdminResult } from './admin-actions.ts'
import { ItemDump, METADUMP, MGDUMP } from './item-dump.ts'
import { unsigned } from './admin-actions.ts'

const MAX_SLEEP_MICROSECONDS = 1_000_000
const MAX_CLASSES = 64
const BUSY = 'BUSY currently processing crawler request'
const BAD_CLASS = 'BADCLASS invalid class id'

/** Runs `lru_crawler` (protocol.txt, "LRU Crawler"). */
export function commandLruCrawler(
  actions: AdminActions,
  args: readonly string[],
  { isPipelining }: AdminCommand,
): AdminResult {
  const { settings } = actions.context.store
  const [word, argument] = args
  if (args.length === 1 && (word === 'enable' || word === 'disable')) {
    if (word === 'enable' && settings.lruCrawler) return 'ERROR failed to start lru crawler thread'
    settings.lruCrawler = word === 'enable'
    return Reply.ok
  }
  if (args.length !== 2) return Reply.error
  switch (word) {
    case 'sleep': {
      const microseconds = unsigned(argument)
      if (microseconds === undefined) return Reply.badFormat
      if (microseconds > MAX_SLEEP_MICROSECONDS) return 'CLIENT_ERROR sleep must be one second or less'
      settings.lruCrawlerSleep = microseconds
      return Reply.ok
    }
    case 'tocrawl': {
      const items = unsigned(argument)
      if (items === undefined) return Reply.badFormat
      settings.lruCrawlerTocrawl = items
      return Reply.ok
    }
    case 'crawl':
      return crawl(actions, argument!)
    case 'metadump':
    case 'mgdump':
      if (!settings.lruCrawler) return 'CLIENT_ERROR lru crawler disabled'
      if (actions.options.disableDumping) return `ERROR ${word === 'metadump' ? 'metadump' : 'key dump'} not allowed`
      if (isPipelining) return `ERROR cannot pipeline other commands before ${word}`
      return dump(actions, word, argument!)
    default:
      return Reply.error
  }
}

function crawl({ context, maintenance }: AdminActions, selection: string): AdminResult {
  if (!context.store.settings.lruCrawler) return 'CLIENT_ERROR lru crawler disabled'
  if (selection === 'hash') return 'ERROR an unknown error happened'
  const lists = selectedLists(selection)
  if (lists === undefined) return BAD_CLASS
  return maintenance.crawlExpired(lists) ? Reply.ok : BUSY
}

function dump({ context, maintenance }: AdminActions, word: string, selection: string): AdminResult {
  const lists = selection === 'hash' ? 'hash' : selectedLists(selection)
  if (lists === undefined) return BAD_CLASS
  const itemDump = new ItemDump(context, maintenance, word === 'metadump' ? METADUMP : MGDUMP)
  const begun = maintenance.beginDump(lists, itemDump)
  if (begun === 'busy') return BUSY
  return begun === 'growing' ? 'ERROR locked try again later' : itemDump
}

/** Returns the LRU lists of `all` or of a list of classes; `undefined` if a class id is invalid. */
function selectedLists(selection: string): readonly number[] | undefined {
  if (selection === 'all') return ALL_LISTS
  const lists: number[] = []
  for (const word of selection.split(',')) {
    const id = unsigned(word)
    if (id === undefined || id < 1 || id >= MAX_CLASSES) return undefined
    for (const segment of Object.values(Segment)) lists.push(id | segment)
  }
  return lists
}
