import { once } from 'node:events'
import { connect } from 'node:net'
import { escapeBytes, unescapeBytes } from 'memcache-ts-testing'

/** How long an answer that is not the expected one is waited for. */
const PATIENCE_MS = 3000
/** How long nothing must come for an answer to be taken for complete, where none is expected. */
const QUIET_MS = 150

/** A connection that speaks in the packets of a transcript. */
export class RawConnection {
  #socket
  #received = ''
  #closed = false
  #changed = () => {}

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1')
      this.#changed()
    })
    socket.on('close', () => {
      this.#closed = true
      this.#changed()
    })
  }

  /** @param {number} port */
  static async open(port) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  /**
   * Sends a packet and returns the response, in the form of a transcript.
   *
   * @param {string} packet
   * @param {(answer: string) => boolean} [isExpected] what to wait for; without it, until nothing more comes.
   */
  async send(packet, isExpected) {
    this.#socket.write(Buffer.from(unescapeBytes(packet), 'latin1'))
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const answer = this.#answer()
      if (isExpected?.(answer) || this.#closed) break
      const wait = isExpected === undefined ? QUIET_MS : deadline - Date.now()
      if (wait <= 0 || !(await this.#change(wait))) break
    }
    const answer = this.#answer()
    this.#received = ''
    return answer
  }

  /** Ends the connection; returns bytes that were received without a request. */
  async end() {
    this.#socket.end()
    while (!this.#closed) if (!(await this.#change(PATIENCE_MS))) this.#socket.destroy()
    return escapeBytes(this.#received)
  }

  #answer() {
    return `${escapeBytes(this.#received)}${this.#closed ? ' [closed]' : ''}`
  }

  /**
   * Waits for something to happen; false when nothing did.
   *
   * @param {number} ms
   * @returns {Promise<boolean>}
   */
  #change(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms)
      this.#changed = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }
}
