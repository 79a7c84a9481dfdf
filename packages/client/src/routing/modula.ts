import { createHash } from 'node:crypto'

/** The key's hash modulo the number of servers: simple, and nearly every key moves when a server is added. */
export class Modula {
  readonly #servers: number

  constructor(servers: readonly unknown[]) {
    this.#servers = servers.length
  }

  /** The server of a key, as an index; with `attempt` above 0 the ones after it. */
  serverOf(key: string, attempt = 0): number {
    const hash = createHash('md5').update(key).digest().readUInt32LE(0)
    return (hash + attempt) % this.#servers
  }
}
