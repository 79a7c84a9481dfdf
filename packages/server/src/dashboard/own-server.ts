import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { TextConnection } from './text-connection.ts'
import type { DumpedKey, Statistics, WatchedServer } from './watched-server.ts'

/** The part of a server that the dashboard in its process uses. */
export interface OwnServerAccess {
  readonly name: string
  /** Returns the statistics of a form; `undefined` if the form is unknown. */
  statistics(form: string): Statistics | undefined
  /** Opens a connection within the process, which needs no credentials. */
  connect(): Duplex
  /** Returns the address at which the server listens for text without TLS; `undefined` if it does not. */
  probeAddress(): { readonly host: string; readonly port: number } | { readonly path: string } | undefined
}

const RETRY_MS = 5000
/** How long to wait for a busy crawler, and the pause between two attempts. */
const BUSY_MS = 3000
const BUSY_PAUSE_MS = 50
const DUMPED = /^key=(\S+) exp=(-?\d+)(?:.* size=(\d+))?/
const LISTED = /^ITEM (\S+) (.*)$/
const PREFIX = /^PREFIX (\S+) (.*)$/

/**
 * The server of this process. Statistics are read without a connection. Round trips are measured on a connection over
 * the network (or the unix socket), as clients have it, which is open while there is a viewer.
 */
export class OwnServer implements WatchedServer {
  readonly name: string
  readonly #access: OwnServerAccess
  #text: TextConnection | undefined
  #probe: Promise<TextConnection> | undefined
  /** The time before which no other probe is opened. */
  #retryAtMs = 0

  constructor(access: OwnServerAccess) {
    this.name = access.name
    this.#access = access
  }

  async statistics(form: string): Promise<Statistics> {
    const statistics = this.#access.statistics(form)
    if (statistics !== undefined) return statistics
    const lines = await this.#connection().request(`stats ${form}`)
    const last = lines.at(-1)!
    if (last !== 'END') throw new Error(last)
    return Object.fromEntries(
      lines.flatMap((line) => {
        const [, name, value] = LISTED.exec(line) ?? PREFIX.exec(line) ?? []
        return name === undefined ? [] : [[utf8(name), value!]]
      }),
    )
  }

  async roundTrip(): Promise<number | undefined> {
    const address = this.#access.probeAddress()
    if (address === undefined) return undefined
    if (this.#probe === undefined) {
      if (performance.now() < this.#retryAtMs) return undefined
      this.#probe = openProbe(address)
      this.#probe.catch(() => this.#giveUpProbe())
      return undefined
    }
    try {
      const probe = await this.#probe
      const start = performance.now()
      await probe.request('version')
      return performance.now() - start
    } catch (error) {
      this.#giveUpProbe()
      throw error
    }
  }

  async dump(visit: (item: DumpedKey) => boolean): Promise<void> {
    const endsAt = performance.now() + BUSY_MS
    for (;;) {
      const refusal = await this.#dumpOnce(visit)
      if (refusal === undefined) return
      // The crawler is busy in the background, or with another dump.
      if (!refusal.startsWith('BUSY') || performance.now() > endsAt) throw new Error(refusal)
      await delay(BUSY_PAUSE_MS)
    }
  }

  async delete(key: string): Promise<boolean> {
    // Base64, so that a key with spaces is one word (protocol.txt, "Meta Commands").
    const reply = await this.#act(`md ${Buffer.from(key).toString('base64')} b`)
    if (reply.startsWith('HD')) return true
    if (reply.startsWith('NF')) return false
    throw new Error(reply)
  }

  async flush(): Promise<void> {
    const reply = await this.#act('flush_all')
    if (reply !== 'OK') throw new Error(reply)
  }

  rest(): void {
    this.#text?.close()
    this.#text = undefined
    void this.#probe?.then(
      (probe) => probe.close(),
      () => {},
    )
    this.#probe = undefined
  }

  /** Forgets the probe's connection, without an immediate retry: the server may be at its limit of connections. */
  #giveUpProbe(): void {
    this.#probe = undefined
    this.#retryAtMs = performance.now() + RETRY_MS
  }

  /** @returns why the server does not dump now. */
  async #dumpOnce(visit: (item: DumpedKey) => boolean): Promise<string | undefined> {
    // A separate connection, which is closed when enough keys were found.
    const connection = new TextConnection(this.#access.connect())
    let done = false
    let refusal: string | undefined
    const take = (line: string): void => {
      if (done) return
      const [, key, exptime, bytes] = DUMPED.exec(line) ?? []
      if (key === undefined) {
        if (line !== 'END' && line !== 'OK') refusal = line
        return
      }
      const expiresAt = Number(exptime) > 0 ? Number(exptime) : undefined
      done = !visit({ key: decoded(key), bytes: Number(bytes ?? 0), expiresAt })
      if (done) connection.close()
    }
    try {
      await connection.dump('lru_crawler metadump all', take)
    } catch (error) {
      if (!done) throw error
    } finally {
      connection.close()
    }
    return refusal
  }

  /** Actions are rare. Each opens a connection, so that none stays open without a viewer. */
  async #act(line: string): Promise<string> {
    const connection = new TextConnection(this.#access.connect())
    try {
      return (await connection.request(line)).join(' ')
    } finally {
      connection.close()
    }
  }

  #connection(): TextConnection {
    if (this.#text?.isOpen !== true) this.#text = new TextConnection(this.#access.connect())
    return this.#text
  }
}

function openProbe(address: { host: string; port: number } | { path: string }): Promise<TextConnection> {
  const socket: Socket = connect(address)
  socket.setNoDelay(true)
  socket.unref()
  return TextConnection.open(socket, 'connect')
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString()
}

function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
