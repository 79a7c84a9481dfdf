import type { MemcachedClient } from 'memcache-ts-client'
import { openClient, serversOf } from './connect.ts'
import type { SharedOptions } from './connect.ts'
import { CommandError, ExitStatus } from './terminal.ts'
import type { Terminal } from './terminal.ts'

/** A server of the list, and why it does not respond. */
export interface Server {
  readonly name: string
  readonly fault: Error | undefined
}

/** The context of a command. */
export class CommandContext {
  readonly terminal: Terminal
  readonly client: MemcachedClient
  readonly json: boolean
  /** The list of servers as it was given. */
  readonly servers: string
  #isComplete = true

  constructor(terminal: Terminal, options: SharedOptions, names: readonly string[]) {
    this.terminal = terminal
    this.servers = serversOf(names, options, terminal.env)
    this.client = openClient(this.servers, options, terminal.env)
    this.json = options.json === true
  }

  /** Whether no server and no key was left out. A command that did only a part exits with `incomplete`. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Returns all servers of the list, including those that do not respond. */
  async ping(): Promise<Server[]> {
    const faults = await this.client.ping()
    return [...faults].map(([name, fault]) => ({ name, fault }))
  }

  /**
   * Returns the servers that respond, and reports the others on standard error.
   *
   * @throws CommandError if no server responds.
   */
  async reachable(): Promise<Server[]> {
    const servers = await this.ping()
    const alive = servers.filter(({ fault }) => fault === undefined)
    const away = servers.filter(({ fault }) => fault !== undefined)
    if (alive.length === 0) throw new CommandError(awayText(away), ExitStatus.unreachable)
    if (away.length > 0) this.leaveOut(awayText(away))
    return alive
  }

  /**
   * Does the work of each server at the same time. Servers that fail are reported, and have no result.
   *
   * @throws the error of a server if all fail.
   */
  async onServers<Result>(
    servers: readonly Server[],
    work: (name: string) => Promise<Result>,
  ): Promise<{ name: string; result: Result }[]> {
    const outcomes = await Promise.allSettled(servers.map(({ name }) => work(name)))
    const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []))
    if (failed.length === servers.length && failed.length > 0) throw failed[0]!
    for (const { message } of failed) this.leaveOut(message)
    return outcomes.flatMap((outcome, index) =>
      outcome.status === 'fulfilled' ? [{ name: servers[index]!.name, result: outcome.value }] : [],
    )
  }

  /**
   * Does the work of each key in turn. Keys that fail are reported, and the others go on. Returns how many keys `work`
   * did not find.
   *
   * @throws the error of the last key if all fail.
   */
  async onKeys(keys: readonly string[], work: (key: string) => Promise<boolean>): Promise<number> {
    let missed = 0
    let failed = 0
    for (const key of keys) {
      try {
        if (!(await work(key))) missed++
      } catch (error) {
        if (++failed === keys.length) throw error
        this.leaveOut(`${key}: ${(error as Error).message}`)
      }
    }
    return missed
  }

  /** Reports a part that cannot be done. */
  leaveOut(text: string): void {
    this.#isComplete = false
    this.terminal.note(text, 'yellow')
  }
}

function awayText(servers: readonly Server[]): string {
  return servers.map(({ name, fault }) => `${name} does not respond: ${fault!.message}`).join('\n')
}
