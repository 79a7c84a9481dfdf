import type { ItemResponse } from './operations/item-response.ts'
import { ClientFlags } from 'memcache-ts-protocol'
import { CallDeadline, onOwnServer } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { MultiGet } from './multi-get.ts'
import { DeleteOperation, StoreOperation } from './operations/write-operations.ts'
import { MultiGetOperation } from './operations/multi-get-operation.ts'
import { RetrievalOperation } from './operations/retrieval-operation.ts'
import type { WireKey } from './client-key.ts'
import { CHUNK, LIST } from './values/chunk-list.ts'
import type { ChunkList } from './values/chunk-list.ts'
import type { CutValue } from './values/chunked-values.ts'

/** The number of chunks that are requested or sent together. */
export const ROUND = 200
/** The time that the chunks of a replaced value stay, for other clients that have already read its list. */
const REPLACED_SECONDS = 5

/**
 * The steps on the chunks of values. Chunks are never changed: each write stores its own chunks under random keys. Only
 * the list under a value's key decides what the value is, so a step that fails leaves either the old value or the new
 * one.
 */
export class Chunks {
  readonly #dispatcher: Dispatcher
  readonly #multiGet: MultiGet
  readonly #timeoutMs: number
  /** The values whose chunks are being fetched, by id: the number of calls that fetch them, and the steps that follow. */
  readonly #fetching = new Map<string, { callers: number; readonly after: (() => void)[] }>()
  /** The clean-up steps that are under way after their calls. */
  readonly #cleanups = new Set<Promise<void>>()

  /** @param timeoutMs the time limit of the clean-up after a call. */
  constructor(dispatcher: Dispatcher, multiGet: MultiGet, timeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#multiGet = multiGet
    this.#timeoutMs = timeoutMs
  }

  /** Returns the bytes of a value; `undefined` if a chunk is missing. If an exptime is given, it is set for all chunks. */
  async fetch(list: ChunkList, call: CallDeadline, touchExptime: number | undefined): Promise<Buffer | undefined> {
    const { id } = list
    const fetching = this.#fetching.get(id) ?? { callers: 0, after: [] }
    this.#fetching.set(id, fetching)
    fetching.callers++
    try {
      return await this.#fetchAll(list, { deadline: call, signal: call.signal }, touchExptime)
    } finally {
      fetching.callers--
      if (fetching.callers === 0) {
        this.#fetching.delete(id)
        for (const begin of fetching.after) begin()
      }
    }
  }

  /**
   * Stores the chunks of a value; resolves to their list when all are stored. If one fails, the stored chunks are
   * removed.
   */
  async store({ list, chunkAt }: CutValue, exptime: number, options: StepOptions): Promise<ChunkList> {
    const step = onOwnServer(options)
    let index = 0
    try {
      for (const keys of list.rounds(ROUND)) {
        // Waits for all chunks, so that none is stored after it was removed.
        const stored = await Promise.allSettled(
          keys.map((key) => this.#storeOne({ key, bytes: chunkAt(index++), exptime }, step)),
        )
        const failed = stored.find(({ status }) => status === 'rejected')
        if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
      }
    } catch (error) {
      this.remove(list)
      throw error
    }
    return list
  }

  /** Sets the lifetime of a value's chunks; returns whether all of them were found. */
  async touch(list: ChunkList, exptime: number, options: StepOptions): Promise<boolean> {
    const step = onOwnServer(options)
    for (const keys of list.rounds(ROUND)) {
      const found = await Promise.all(
        keys.map((key) => this.#retrieve({ key, value: false, touchExptime: exptime, build: isFound }, step)),
      )
      if (found.includes(false)) return false
    }
    return true
  }

  /** Removes the chunks of a value that is no longer stored, after the calls of this client that fetch them. */
  remove(list: ChunkList): void {
    const begin = (): void => this.#cleanUp(list, (key, step) => this.#deleteOne(key, step))
    const fetching = this.#fetching.get(list.id)
    if (fetching === undefined) begin()
    else fetching.after.push(begin)
  }

  /** Lets the chunks of a value that was replaced expire soon. */
  retire(list: ChunkList): void {
    this.#cleanUp(list, (key, step) =>
      this.#retrieve({ key, value: false, touchExptime: REPLACED_SECONDS, build: ignore }, step),
    )
  }

  /**
   * Returns the list of chunks of a key, as of this place among the requests on the key; `undefined` if there is none,
   * or the request failed. Never rejects.
   */
  listOf(wireKey: WireKey, options: StepOptions): Promise<ChunkList | undefined> {
    return new Promise<ChunkList | undefined>((resolve, reject) => {
      let found: ChunkList | undefined
      const hit = (_: WireKey, value: unknown): void => void (found = value as ChunkList | undefined)
      // A classic get if the key is text: unlike mg, it never takes the right to recache a stale item.
      const operation =
        typeof wireKey === 'string'
          ? new MultiGetOperation<WireKey>({ reader: LIST, hit, failed: ignore }, () => resolve(found), reject)
          : new RetrievalOperation(
              { wireKey, name: '', request: { value: true }, reader: LIST, build: valueOf<ChunkList> },
              resolve,
              reject,
            )
      if (operation instanceof MultiGetOperation) operation.add(wireKey as string, wireKey)
      // A repetition on another connection would read a value that was stored later.
      operation.mayRepeat = false
      this.#dispatcher.send(operation, wireKey, options)
    }).catch(() => undefined)
  }

  /** Whether no chunks are being fetched, and no clean-up is under way. */
  get isIdle(): boolean {
    return this.#fetching.size === 0 && this.#cleanups.size === 0
  }

  /** Resolves when the clean-up after calls has ended. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.#cleanups)
  }

  async #fetchAll(list: ChunkList, step: StepOptions, touchExptime: number | undefined): Promise<Buffer | undefined> {
    const chunks: Buffer[] = []
    for (const keys of list.rounds(ROUND)) {
      for (const chunk of await this.#fetchRound(keys, step, touchExptime)) {
        // A chunk that does not match the list does not belong to the value.
        if (chunk === undefined || !list.isLength(chunks.length, chunk.length, chunks[0]?.length ?? chunk.length)) {
          return undefined
        }
        chunks.push(chunk)
      }
    }
    return Buffer.concat(chunks)
  }

  async #fetchRound(
    keys: readonly string[],
    step: StepOptions,
    touchExptime: number | undefined,
  ): Promise<(Buffer | undefined)[]> {
    if (touchExptime !== undefined) {
      return Promise.all(
        keys.map((key) => this.#retrieve({ key, value: true, touchExptime, build: valueOf<Buffer> }, step)),
      )
    }
    const found = await this.#multiGet.get<string, Buffer>(keys, step, CHUNKS)
    // A failed request for chunks is not a miss.
    for (const error of found.errors.values()) throw error
    return keys.map((key) => found.get(key))
  }

  #storeOne({ key, bytes, exptime }: ChunkStore, step: StepOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const wireKey = this.#dispatcher.textKey(key)
      const store = { wireKey, name: key, mode: 'set', clientFlags: ClientFlags.bytes, build: ignore } as const
      this.#dispatcher.send(new StoreOperation({ ...store, bytes, exptime }, resolve, reject), wireKey, step)
    })
  }

  #deleteOne(key: string, step: StepOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const wireKey = this.#dispatcher.textKey(key)
      this.#dispatcher.send(
        new DeleteOperation({ wireKey, name: key, request: {} }, () => resolve(), reject),
        wireKey,
        step,
      )
    })
  }

  #retrieve<Result>({ key, value, touchExptime, build }: ChunkRead<Result>, step: StepOptions): Promise<Result> {
    return new Promise((resolve, reject) => {
      const wireKey = this.#dispatcher.textKey(key)
      const request = { value, touchExptime }
      const operation = new RetrievalOperation({ wireKey, name: key, request, reader: CHUNK, build }, resolve, reject)
      this.#dispatcher.send(operation, wireKey, step)
    })
  }

  /** Changes chunks in the background: no caller waits, and chunks on a server that is away expire or are evicted. */
  #cleanUp(list: ChunkList, each: (key: string, step: StepOptions) => Promise<unknown>): void {
    const deadline = CallDeadline.fromNow(this.#timeoutMs)
    const cleanup = (async (): Promise<void> => {
      for (const keys of list.rounds(ROUND)) await Promise.allSettled(keys.map((key) => each(key, { deadline })))
    })()
    this.#cleanups.add(cleanup)
    void cleanup.finally(() => this.#cleanups.delete(cleanup))
  }
}

/** A chunk to be stored. */
interface ChunkStore {
  readonly key: string
  readonly bytes: Buffer
  readonly exptime: number
}

/** A request that sets the lifetime of a chunk, and reads the chunk if its value is requested. */
interface ChunkRead<Result> {
  readonly key: string
  readonly value: boolean
  readonly touchExptime: number
  readonly build: (item: ItemResponse, value: unknown) => Result
}

const CHUNKS = { reader: CHUNK, withCas: false }

function valueOf<Value>(item: ItemResponse, value: unknown): Value | undefined {
  return item.isFound ? (value as Value) : undefined
}

function ignore(): void {}

function isFound(item: ItemResponse): boolean {
  return item.isFound
}
