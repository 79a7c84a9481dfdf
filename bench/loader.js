import { connect } from 'node:net'

/** Bytes that are sent before the loader waits for the server. */
const BATCH_BYTES = 4 * 1024 * 1024
/** The largest that `-I 1m` takes. */
export const LARGE_VALUE_BYTES = 1_048_000
const value = Buffer.alloc(LARGE_VALUE_BYTES, 'x')

/** Stores as fast as a server takes it, and no faster. */
export class Loader {
  #socket
  #received = ''
  #wake = () => {}
  #lines = []
  #bytes = 0
  #end

  constructor(socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1')
      this.#wake()
    })
    const end = (error) => {
      this.#end = error instanceof Error ? error : new Error('the server closed the connection')
      this.#wake()
    }
    socket.on('error', end).on('close', end)
  }

  static async open(port) {
    const socket = connect(port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new Loader(socket)
  }

  /** @returns {Promise<void> | undefined} nothing to wait for, most of the time. */
  set(key, length) {
    const line = `set k${key} 0 0 ${length} noreply\r\n`
    if (length < 1000) {
      this.#lines.push(`${line}${'x'.repeat(length)}\r\n`)
    } else {
      this.#flushLines()
      this.#socket.write(line)
      this.#socket.write(value.subarray(0, length))
      this.#lines.push('\r\n')
    }
    this.#bytes += line.length + length
    return this.#bytes > BATCH_BYTES ? this.#sync() : undefined
  }

  async stats() {
    await this.#sync()
    const text = await this.#ask('stats\r\n', 'END\r\n')
    return Object.fromEntries([...text.matchAll(/STAT (\S+) (\S+)/g)].map(([, name, stat]) => [name, stat]))
  }

  close() {
    this.#socket.destroy()
  }

  async #sync() {
    this.#flushLines()
    this.#bytes = 0
    const answer = await this.#ask('mn\r\n', 'MN\r\n')
    if (answer !== 'MN\r\n') throw new Error(`a set was refused: ${answer.slice(0, 200)}`)
  }

  #flushLines() {
    if (this.#lines.length > 0) this.#socket.write(this.#lines.join(''))
    this.#lines = []
  }

  async #ask(request, end) {
    this.#socket.write(request)
    while (!this.#received.endsWith(end)) {
      if (this.#end !== undefined) throw this.#end
      await new Promise((resolve) => (this.#wake = resolve))
    }
    const received = this.#received
    this.#received = ''
    return received
  }
}
