import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const CALLER = fileURLToPath(new URL('caller.js', import.meta.url))

/** Processes that do one task of caller.js on one server, each with a cache of its own. */
export class Callers {
  #processes

  constructor(processes) {
    this.#processes = processes
  }

  static async start(count, address, task, options = {}) {
    const processes = Array.from({ length: count }, () => fork(CALLER, [address, task, JSON.stringify(options)]))
    await Promise.all(processes.map((caller) => once(caller, 'message')))
    return new Callers(processes)
  }

  /** Sends a message to all callers at once; resolves to their results. */
  async all(message) {
    const answers = this.#processes.map(async (caller) => (await once(caller, 'message'))[0])
    for (const caller of this.#processes) caller.send(message)
    return Promise.all(answers)
  }

  /** Kills them: nothing of theirs is finished. */
  kill() {
    for (const caller of this.#processes) caller.kill('SIGKILL')
  }
}
