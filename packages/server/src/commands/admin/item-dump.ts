import { Uint64 } from 'memcache-ts-protocol'
import { ItemFlag } from '../../store/item-layout.ts'
import type { Crawl } from '../../maintenance.ts'
import type { CommandContext } from '../command-context.ts'

/** Items looked at before what was found is written, and the others have their turn. */
const ITEMS_PER_WRITE = 500
const OK = Buffer.from('OK\r\n')
const casUnique = new Uint64()

/** One item's line in a dump. */
export type FormatLine = (context: CommandContext, item: number) => string

/**
 * `lru_crawler metadump` and `mgdump`: a line for each live item, while the server goes on, no faster than the client
 * reads (protocol.txt, "LRU Crawler").
 */
export class ItemDump {
  /** The walk that visits the items, set once it has begun. */
  crawl: Crawl | undefined
  readonly #context: CommandContext
  readonly #format: FormatLine
  readonly #end: Buffer
  #started = false

  constructor(context: CommandContext, format: FormatLine, end: Buffer) {
    this.#context = context
    this.#format = format
    this.#end = end
  }

  /** Adds the next lines to the replies; returns whether there are more. */
  next(): boolean {
    const { replies } = this.#context
    if (!this.#started) replies.append(OK)
    this.#started = true
    if (this.crawl!.step(ITEMS_PER_WRITE)) return true
    replies.append(this.#end)
    return false
  }

  visit(item: number): void {
    const { store, replies } = this.#context
    if (!store.isDead(item)) replies.appendText(this.#format(this.#context, item))
  }
}

/** `metadump`: what `me` tells of an item, with times since 1970 and the key percent-encoded. */
export function metadataLine({ store, clock }: CommandContext, item: number): string {
  const exptime = store.exptime(item)
  return (
    `key=${percentEncode(store.bytes(item), store.keyStart(item), store.keyLength(item))}` +
    ` exp=${exptime === 0 ? -1 : clock.toUnix(exptime)} la=${clock.toUnix(store.lastAccess(item))}` +
    ` cas=${store.readCas(item, casUnique).toBigInt()} fetch=${store.hasFlag(item, ItemFlag.fetched) ? 'yes' : 'no'}` +
    ` cls=${store.classOf(item)} size=${store.itemBytes(item)} flags=${store.clientFlags(item)} \n`
  )
}

/** `mgdump`: the `mg` that fetches the item. */
export function keyLine({ store }: CommandContext, item: number): string {
  const start = store.keyStart(item)
  const binary = store.hasFlag(item, ItemFlag.binaryKey)
  const key = store.bytes(item).toString(binary ? 'base64' : 'latin1', start, start + store.keyLength(item))
  return binary ? `mg ${key} b\r\n` : `mg ${key}\r\n`
}

/** What RFC 3986 leaves as it is ("unreserved"); every other byte becomes %XX. */
const UNRESERVED = /[A-Za-z0-9\-._~]/

function percentEncode(bytes: Buffer, start: number, length: number): string {
  let encoded = ''
  for (let at = start; at < start + length; at++) {
    const character = String.fromCharCode(bytes[at]!)
    if (UNRESERVED.test(character)) encoded += character
    else encoded += `%${bytes[at]!.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}
