import { accessSync, constants, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CommandContext } from './commands/command-context.ts'
import type { FlushSchedule } from './flush-schedule.ts'
import { isCutOffMetadata, isSnapshotOrNothing, restoreItems, saveItems } from './store/item-snapshot.ts'

/** The cache that a `WarmRestart` saves and restores, and the file. */
export interface WarmRestartOptions {
  /** The file (`-e`). */
  readonly path: string
  readonly context: CommandContext
  readonly flushes: FlushSchedule
  /** Logs a line if the verbosity is at least the given one; 0 by default. */
  readonly log: (line: string, verbosity?: number) => void
}

/** Keeps the items of a server over a restart, in a file that is written when it closes and read when it listens (`-e`). */
export class WarmRestart {
  readonly #options: WarmRestartOptions
  /** Whether the server has searched for the file: a server that never listened does not overwrite it. */
  #isRead = false
  /** Whether items were restored from the file. */
  #hasRestored = false

  constructor(options: WarmRestartOptions) {
    this.#options = options
  }

  /**
   * Reads the items that were saved before the restart. If the file cannot be used, this is logged, and the cache
   * starts empty.
   *
   * @throws MemcacheOptionError if there is an empty `.meta` file of memcached, or if the file could not be written.
   */
  restore(): void {
    if (this.#isRead) return
    const { path, context, flushes, log } = this.#options
    if (isCutOffMetadata(path)) {
      throw new MemcacheOptionError(
        `${path}.meta is empty: a memcached that used ${path} did not stop cleanly. Remove both files, or name another file`,
      )
    }
    requireWritableFolder(path)
    this.#isRead = true
    const { store, clock, events } = context
    flushes.tick()
    try {
      const state = restoreItems(path, store, clock)
      if (state === undefined) return
      this.#hasRestored = true
      events.skipEvents(state.events)
      if (state.flushAt !== 0) flushes.resume(clock.fromUnix(state.flushAt))
      log(`restored ${store.counters.currItems} items from ${path}`, 1)
    } catch (error) {
      log(`cannot restore items from ${path}, so the cache starts empty: ${(error as Error).message}`)
    }
  }

  /**
   * Removes the file, because a later start must not find items that are deleted from now on; if that fails, its items
   * are not served.
   */
  removeSaved(): void {
    if (!this.#hasRestored) return
    const { path, context, log } = this.#options
    try {
      rmSync(path)
    } catch (error) {
      context.store.removeAll()
      log(`cannot remove ${path}, so the cache starts empty: ${(error as Error).message}`)
    }
  }

  /** Writes the items. If that fails, it is logged. */
  save(): void {
    if (!this.#isRead) return
    const { path, context, flushes, log } = this.#options
    const { clock, events } = context
    flushes.tick()
    try {
      if (!isSnapshotOrNothing(path)) throw new Error('the path has a file of another kind')
      const flushAt = flushes.dueAt === 0 ? 0 : clock.toUnix(flushes.dueAt)
      saveItems(path, context, { flushAt, events: events.nextEvent() })
    } catch (error) {
      log(`cannot save items to ${path}: ${(error as Error).message}`)
    }
  }
}

/** Checks that the file can be written: otherwise the items would be lost, unnoticed, when the server ends. */
function requireWritableFolder(path: string): void {
  const folder = dirname(path)
  try {
    accessSync(folder, constants.W_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new MemcacheOptionError(
      `cannot keep items in ${path}: the folder ${folder} cannot be written (${code}); name a file in another folder`,
    )
  }
}
