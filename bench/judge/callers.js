import { fileURLToPath } from 'node:url'
import { ask, start } from '../child.js'

const CALLER = fileURLToPath(new URL('caller.js', import.meta.url))

/** Processes that do one task of caller.js on one server, each with a cache of its own. */
export class Callers {
  #processes

  constructor(processes) {
    this.#processes = processes
  }

  static async start(count, address, task, options = {}) {
    const args = [address, task, JSON.stringify(options)]
    const started = await Promise.all(Array.from({ length: count }, () => start(CALLER, args)))
    return new Callers(started.map(({ child }) => child))
  }

  /** Sends a message to all callers at once; resolves to their results. */
  all(message) {
    return Promise.all(this.#processes.map((caller) => ask(caller, message)))
  }

  /** Kills them: nothing of theirs is finished. */
  kill() {
    for (const caller of this.#processes) caller.kill('SIGKILL')
  }
}
