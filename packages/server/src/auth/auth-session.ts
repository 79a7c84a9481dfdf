import { FrameReader, MAX_LINE_BYTES, NONE, Reply, STOP } from 'memcache-ts-protocol'
import type { FrameHandler } from 'memcache-ts-protocol'
import type { Session, SessionHost } from '../session.ts'
import { TextSession } from '../text-session.ts'
import type { Credentials } from './credentials.ts'

const MIN_LINE_BYTES = 6
const MAX_TOKEN_BYTES = 16_384
/** Wrong credentials that one connection may send before it is closed. */
export const MAX_FAILURES = 10
const SPACE = 32
/** `set <key> <flags> <exptime> <bytes>`: only the length counts. */
const REQUEST = /^set[^ ]* +[^ ]+ +[^ ]+ +[^ ]+ +(\d{1,10})(?: |$)/

/**
 * Authenticates a client of the text protocol if there is an authentication file (`-Y`): the first request must be a
 * `set` of any key with the value `user password` (protocol.txt, "Authentication"). Every other request is refused.
 */
export class AuthSession implements Session, FrameHandler {
  readonly #host: SessionHost
  readonly #credentials: Credentials
  readonly #reader = new FrameReader(this, MAX_LINE_BYTES)
  #token = Buffer.alloc(0)
  #failures = 0
  #isAllowed = false

  constructor(host: SessionHost, credentials: Credentials) {
    this.#host = host
    this.#credentials = credentials
  }

  get state(): string | undefined {
    return this.#reader.atBoundary ? undefined : 'conn_nread'
  }

  get isPaused(): boolean {
    return this.#reader.stopped && this.#reader.heldBytes > 0
  }

  push(buffer: Buffer, start: number, end: number): void {
    const reader = this.#reader
    if (reader.stopped && reader.heldBytes === 0) reader.resume()
    reader.push(buffer, start, end)
    this.#leave()
  }

  resume(): void {
    this.#reader.resume()
    this.#leave()
  }

  dispose(): void {
    this.#reader.stop()
  }

  /** Hands the connection to a text session, with the bytes that followed the credentials. */
  #leave(): void {
    if (!this.#isAllowed) return
    const rest = this.#reader.takeHeld()
    const text = new TextSession(this.#host)
    this.#host.become(text)
    if (rest.length > 0) text.push(rest, 0, rest.length)
  }

  // FrameHandler

  line(buffer: Buffer, start: number, end: number): number {
    if (end - start + 1 < MIN_LINE_BYTES) return this.#close()
    const match = REQUEST.exec(buffer.toString('latin1', start, end))
    const length = Number(match?.[1])
    if (!(length <= 0xffff_ffff)) return this.#reply(Buffer.from('CLIENT_ERROR unauthenticated\r\n'))
    if (length > MAX_TOKEN_BYTES) return this.#reply(Buffer.from('CLIENT_ERROR auth token too long\r\n'))
    this.#token = Buffer.alloc(length)
    return length
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    buffer.copy(this.#token, offset, start, end)
  }

  dataEnd(terminated: boolean): number {
    const token = this.#token
    this.#token = Buffer.alloc(0)
    if (!terminated) return this.#reply(Buffer.from('CLIENT_ERROR bad command line termination\r\n'))
    const space = token.indexOf(SPACE)
    if (space === -1) return this.#reply(Buffer.from('CLIENT_ERROR bad authentication token format\r\n'))
    const { counters } = this.#host.context
    counters.authCommands++
    const user = token.subarray(0, space)
    if (this.#credentials.allows(user, token.subarray(space + 1))) {
      this.#isAllowed = true
      this.#host.context.replies.append(Reply.stored)
      return STOP
    }
    counters.authErrors++
    this.#host.owner.refusedCredentials(user)
    this.#host.context.replies.append(Buffer.from('CLIENT_ERROR authentication failure\r\n'))
    if (++this.#failures >= MAX_FAILURES) return this.#close()
    return this.#pauseOrGoOn()
  }

  longLine(): boolean {
    this.#close()
    return false
  }

  #reply(reply: Buffer): number {
    this.#host.context.replies.append(reply)
    return this.#pauseOrGoOn()
  }

  #pauseOrGoOn(): number {
    return this.#host.countRequest() ? STOP : NONE
  }

  #close(): number {
    this.#host.close('error')
    return STOP
  }
}
