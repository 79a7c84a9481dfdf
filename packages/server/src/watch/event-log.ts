import { percentEncode } from '../encoded-text.ts'
import type { ServerClock } from '../server-clock.ts'
import type { StoredKey } from '../store/item-fields.ts'
import type { ItemStore } from '../store/item-store.ts'
import { ItemFlag } from '../store/item-layout.ts'
import type { Watcher } from './watcher.ts'

/** The streams of events, as bits (protocol.txt, "Watchers"). */
export const EventStream = {
  fetchers: 1 << 0,
  mutations: 1 << 1,
  evictions: 1 << 2,
  connevents: 1 << 3,
  deletions: 1 << 4,
  rawcmds: 1 << 5,
  sysevents: 1 << 6,
  /** The streams of memcached's proxy are accepted, and have no events. */
  proxyreqs: 1 << 7,
  proxyevents: 1 << 8,
  proxyuser: 1 << 9,
} as const

/** Returns the streams of a `watch` command, `fetchers` without an argument; `undefined` if a stream does not exist. */
export function readStreams(words: readonly string[]): number | undefined {
  let streams = words.length === 0 ? EventStream.fetchers : 0
  for (const word of words) {
    if (!Object.hasOwn(EventStream, word)) return undefined
    streams |= EventStream[word as keyof typeof EventStream]
  }
  return streams
}

/** The maximum number of watchers, as in memcached. */
const MAX_WATCHERS = 20
const MAX_LOGGED_LINE_BYTES = 512

/** The outcomes of a lookup, in memcached's words. */
const FetchStatus = ['not_found', 'found', 'flushed', 'expired'] as const

/** A client's connection, as the lines describe it. */
export interface LoggedConnection {
  readonly id: number
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
}

/** A storage operation, as the lines describe it. */
export interface LoggedStore {
  readonly status: string
  readonly command: string
  readonly key: Buffer
  readonly keyStart: number
  readonly keyLength: number
  /** The remaining lifetime in seconds; 0 if the item does not expire. */
  readonly ttl: number
  readonly classId: number
  readonly valueLength: number
}

/**
 * Sends events to watchers, in memcached's lines (logger.c). Callers check `streams` first: it is 0 without watchers,
 * so that a request costs one comparison.
 */
export class EventLog {
  /** The streams with a watcher, as bits of `EventStream`. */
  streams = 0
  /** The connection of the current request. */
  connectionId = 0
  /** For `stats`: events, lines sent to watchers, and lines skipped. */
  written = 0
  sent = 0
  skipped = 0
  readonly #store: ItemStore
  readonly #clock: ServerClock
  readonly #changed: () => void
  readonly #watchers = new Set<Watcher>()
  #lastEvent = 0

  /** @param changed called when `streams` has changed. */
  constructor(store: ItemStore, clock: ServerClock, changed: () => void) {
    this.#store = store
    this.#clock = clock
    this.#changed = changed
  }

  get watchers(): number {
    return this.#watchers.size
  }

  get isFull(): boolean {
    return this.#watchers.size >= MAX_WATCHERS
  }

  nextEvent(): number {
    return ++this.#lastEvent
  }

  /** Continues the count of events after a restart. */
  skipEvents(events: number): void {
    this.#lastEvent += events
  }

  /** Resets the counts (`stats reset`). */
  resetCounts(): void {
    this.written = 0
    this.sent = 0
    this.skipped = 0
  }

  add(watcher: Watcher): void {
    // Discards the reason of an earlier removal, which the new watcher must not log.
    this.#store.takeDeath()
    this.#watchers.add(watcher)
    this.#update()
  }

  remove(watcher: Watcher): void {
    if (this.#watchers.delete(watcher)) this.#update()
  }

  /** Reports a lookup; the item is 0 for a miss. */
  fetched({ keyBuffer, keyStart, keyLength }: StoredKey, item: number): void {
    const death = this.#store.takeDeath()
    if ((this.streams & EventStream.fetchers) === 0) return
    const status = item === 0 ? FetchStatus[death]! : 'found'
    const classId = item === 0 ? 0 : this.#store.classOf(item)
    const size = item === 0 ? 0 : this.#store.valueLength(item)
    this.#emit(
      EventStream.fetchers,
      () =>
        `type=item_get key=${percentEncode(keyBuffer, keyStart, keyLength)} status=${status} clsid=${classId}` +
        ` cfd=${this.connectionId} size=${size}`,
    )
  }

  stored({ status, command, key, keyStart, keyLength, ttl, classId, valueLength }: LoggedStore): void {
    this.#emit(
      EventStream.mutations,
      () =>
        `type=item_store key=${percentEncode(key, keyStart, keyLength)} status=${status} cmd=${command}` +
        ` ttl=${ttl >>> 0} clsid=${classId} cfd=${this.connectionId} size=${valueLength}`,
    )
  }

  /** Reports an error of TLS that ends a connection; the id is 0 if the connection is gone already. */
  tlsFailed(connectionId: number, message: string): void {
    this.#emit(EventStream.connevents, () => `type=conntlserr fd=${connectionId} msg=${message}`)
  }

  /** Reports an item that is about to be deleted, by `delete` or `md`. */
  deleted(item: number, command: string): void {
    const store = this.#store
    this.#emit(
      EventStream.deletions,
      () =>
        `type=deleted key=${this.#keyOf(item)} cmd=${command} clsid=${store.classOf(item)}` +
        ` size=${store.valueLength(item)}`,
    )
  }

  /** Reports an item that is about to be evicted. */
  evicted(item: number): void {
    const store = this.#store
    const exptime = store.exptime(item)
    this.#emit(
      EventStream.evictions,
      () =>
        `type=eviction key=${this.#keyOf(item)} fetch=${store.hasFlag(item, ItemFlag.fetched) ? 'yes' : 'no'}` +
        ` ttl=${exptime > 0 ? exptime - store.now : -1} la=${store.now - store.lastAccess(item)}` +
        ` clsid=${store.classOf(item)} size=${store.valueLength(item)}`,
    )
  }

  connected(connection: LoggedConnection): void {
    this.#emit(EventStream.connevents, () => `type=conn_new ${endpoint(connection)} cfd=${connection.id}`)
  }

  closed(connection: LoggedConnection, reason: string): void {
    this.#emit(
      EventStream.connevents,
      () => `type=conn_close ${endpoint(connection)} reason=${reason} cfd=${connection.id}`,
    )
  }

  /** Reports a line of the text protocol as it was received. */
  command(buffer: Buffer, start: number, end: number): void {
    this.#emit(
      EventStream.rawcmds,
      () => `<${this.connectionId} ${buffer.toString('latin1', start, Math.min(end, start + MAX_LOGGED_LINE_BYTES))}`,
    )
  }

  /** Reports an event of the background work. */
  system(text: string): void {
    this.#emit(EventStream.sysevents, () => text)
  }

  #keyOf(item: number): string {
    return percentEncode(this.#store.bytes(item), this.#store.keyStart(item), this.#store.keyLength(item))
  }

  /** Sends a line to the watchers of a stream; the line is built only if a watcher has room for it. */
  #emit(stream: number, format: () => string): void {
    if ((this.streams & stream) === 0) return
    const event = this.nextEvent()
    this.written++
    let line: string | undefined
    for (const watcher of this.#watchers) {
      if ((watcher.streams & stream) === 0) continue
      if (!watcher.hasRoom()) {
        this.skipped++
        continue
      }
      line ??= this.#head(event) + format() + '\n'
      watcher.add(line)
      this.sent++
    }
  }

  #head(event: number): string {
    const nowMs = this.#clock.nowMs()
    return `ts=${Math.floor(nowMs / 1000)}.${Math.floor((nowMs % 1000) * 1000)} gid=${event} `
  }

  #update(): void {
    this.streams = 0
    for (const { streams } of this.#watchers) this.streams |= streams
    this.#changed()
  }
}

function endpoint({ remoteAddress, remotePort }: LoggedConnection): string {
  if (remoteAddress === undefined) return 'rip=unix rport=0 transport=local'
  return `rip=${remoteAddress} rport=${remotePort ?? 0} transport=tcp`
}
