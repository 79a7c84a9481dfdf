import type { MemcachedClient } from 'memcache-ts-client'
import { openClient, serversOf } from './connect.ts'
import type { SharedOptions } from './connect.ts'
import { CommandError, ExitStatus } from './exit-status.ts'
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

  constructor(terminal: Terminal, options: SharedOptions, names: readonly string[]) {
    this.terminal = terminal
    this.servers = serversOf(names, options, terminal.env)
    this.client = openClient(this.servers, options, terminal.env)
    this.json = options.json === true
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
    if (away.length > 0) this.terminal.note(awayText(away), 'yellow')
    return alive
  }
}

function awayText(servers: readonly Server[]): string {
  return servers.map(({ name, fault }) => `${name} does not respond: ${fault!.message}`).join('\n')
}
