import { once } from 'node:events'
import type { Duplex } from 'node:stream'

const DUMP_LAST_LINES = /^(?:END|ERROR|CLIENT_ERROR|SERVER_ERROR|BUSY)(?: |$)/
const LAST_LINES = /^(?:END|OK|RESET|DELETED|NOT_FOUND|HD|EN|NF|VERSION|ERROR|CLIENT_ERROR|SERVER_ERROR|BUSY)(?: |$)/
const MAX_LINE_BYTES = 64 * 1024

interface Waiting {
  /** Matches the last line of the response. */
  readonly last: RegExp
  readonly visit: (line: string) => void
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * A text protocol connection for the few requests of a dashboard: it sends one line, and reads lines until the last
 * line of the response.
 */
export class TextConnection {
  readonly #stream: Duplex
  readonly #waiting: Waiting[] = []
  #rest = ''
  #fault: Error | undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    stream.on('error', (error: Error) => this.#end(error))
    stream.on('close', () => this.#end(new Error('the server closed the connection')))
  }

  get isOpen(): boolean {
    return this.#fault === undefined
  }

  /** Sends a command line; resolves with the lines of the response, the last one included. */
  async request(line: string): Promise<string[]> {
    const lines: string[] = []
    await this.#send(line, LAST_LINES, (text) => void lines.push(text))
    return lines
  }

  /** Sends a command that dumps items: `visit` gets each line as it arrives. Such a response may begin with OK. */
  dump(line: string, visit: (line: string) => void): Promise<void> {
    return this.#send(line, DUMP_LAST_LINES, visit)
  }

  close(): void {
    this.#end(new Error('the connection was closed'))
    this.#stream.destroy()
  }

  /** Waits until the stream is connected. */
  static async open(stream: Duplex, event: string): Promise<TextConnection> {
    await once(stream, event)
    return new TextConnection(stream)
  }

  #send(line: string, last: RegExp, visit: (line: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#fault !== undefined) {
        reject(this.#fault)
        return
      }
      this.#waiting.push({ last, visit, resolve, reject })
      this.#stream.write(`${line}\r\n`)
    })
  }

  #receive(chunk: Buffer): void {
    // Keys may be any bytes: latin1 keeps them, and they are decoded where they are shown.
    const lines = (this.#rest + chunk.toString('latin1')).split('\n')
    this.#rest = lines.pop()!
    if (this.#rest.length > MAX_LINE_BYTES) this.#stream.destroy(new Error('the server sent a line that is too long'))
    for (const whole of lines) {
      // A metadump's lines end in a space and a line feed.
      const line = whole.trimEnd()
      const [waiting] = this.#waiting
      if (waiting === undefined) return
      waiting.visit(line)
      if (waiting.last.test(line)) {
        this.#waiting.shift()
        waiting.resolve()
      }
    }
  }

  #end(error: Error): void {
    if (this.#fault !== undefined) return
    this.#fault = error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
