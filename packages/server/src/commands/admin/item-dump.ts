import { Reply, Uint64 } from 'memcache-ts-protocol'
import { ItemFlag } from '../../store/item-layout.ts'
import { Progress } from '../../long-reply.ts'
import type { LongReply } from '../../long-reply.ts'
import type { DumpVisitor, Maintenance } from '../../maintenance.ts'
import { percentEncode } from '../../encoded-text.ts'
import type { CommandContext } from '../command-context.ts'

/** Items examined in one turn, before the result is written. */
const ITEMS_PER_WRITE = 500
const OK = Buffer.from('OK\r\n')
const casUnique = new Uint64()

/** The format of a dump. */
export interface DumpFormat {
  /** One item's line. */
  readonly line: (context: CommandContext, item: number) => string
  readonly end: Buffer
}

/**
 * `lru_crawler metadump` and `mgdump`: a line for each live item, no faster than the client reads (protocol.txt, "LRU
 * Crawler"). The server continues to serve others meanwhile. A client that reads too slowly does not get the rest,
 * because a dump delays other dumps and crawls.
 */
export class ItemDump implements LongReply, DumpVisitor {
  readonly state = 'conn_watch'
  readonly #context: CommandContext
  readonly #maintenance: Maintenance
  readonly #format: DumpFormat
  #started = false
  #isCutOff = false

  constructor(context: CommandContext, maintenance: Maintenance, format: DumpFormat) {
    this.#context = context
    this.#maintenance = maintenance
    this.#format = format
  }

  next(): Progress {
    if (this.#isCutOff) return Progress.failed
    const { replies } = this.#context
    if (!this.#started) replies.append(OK)
    this.#started = true
    if (this.#maintenance.stepDump(this, ITEMS_PER_WRITE)) return Progress.more
    replies.append(this.#format.end)
    return Progress.done
  }

  end(): void {
    this.#maintenance.endDump(this)
  }

  visit(item: number): void {
    const { store, replies } = this.#context
    if (!store.isDead(item)) replies.appendText(this.#format.line(this.#context, item))
  }

  cutOff(): void {
    this.#isCutOff = true
  }
}

/** `lru_crawler metadump`. */
export const METADUMP: DumpFormat = { line: metadataLine, end: Reply.end }

/** `lru_crawler mgdump`. */
export const MGDUMP: DumpFormat = { line: keyLine, end: Buffer.from('EN\r\n') }

/** Returns a line of `metadump`: the fields of `me`, with Unix times and the key percent-encoded. */
function metadataLine({ store, clock }: CommandContext, item: number): string {
  const exptime = store.exptime(item)
  return (
    `key=${percentEncode(store.bytes(item), store.keyStart(item), store.keyLength(item))}` +
    ` exp=${exptime === 0 ? -1 : clock.toUnix(exptime)} la=${clock.toUnix(store.lastAccess(item))}` +
    ` cas=${store.readCas(item, casUnique).toBigInt()} fetch=${store.hasFlag(item, ItemFlag.fetched) ? 'yes' : 'no'}` +
    ` cls=${store.classOf(item)} size=${store.itemBytes(item)} flags=${store.clientFlags(item)} \n`
  )
}

/** Returns a line of `mgdump`: the `mg` that fetches the item. */
function keyLine({ store }: CommandContext, item: number): string {
  const start = store.keyStart(item)
  const binary = store.hasFlag(item, ItemFlag.binaryKey)
  const key = store.bytes(item).toString(binary ? 'base64' : 'latin1', start, start + store.keyLength(item))
  return binary ? `mg ${key} b\r\n` : `mg ${key}\r\n`
}
