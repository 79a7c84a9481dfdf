import { NONE, Opcode, Status, STOP, VALUE } from 'memcache-ts-protocol'
import type { BinaryRequest } from 'memcache-ts-protocol'
import type { BinaryReplies } from '../binary/binary-replies.ts'
import type { SessionHost } from '../session.ts'
import { itemBytes } from '../store/item-layout.ts'
import { MAX_FAILURES } from './auth-session.ts'
import type { PasswordDatabase } from './password-database.ts'

const MECHANISMS = Buffer.from('PLAIN')
const AUTHENTICATED = Buffer.from('Authenticated')
const NOTHING = Buffer.alloc(0)
/** memcached's MAX_SASL_MECH_LEN. */
const MAX_MECHANISM_BYTES = 32
/** Longer credentials cannot match, and the server must not hold more for a client that is not authenticated. */
const MAX_MESSAGE_BYTES = 1024

/**
 * The authentication of one connection of the binary protocol: SASL PLAIN (RFC 4616) by the commands `SASL List Mechs`,
 * `SASL Auth` and `SASL Step`. All responses are memcached's, with one exception: the tenth failure ends the
 * connection.
 *
 * As in memcached, each of the three commands revokes an earlier authentication, and a connection can be authenticated
 * only once: to become another user, a client connects again.
 */
export class SaslExchange {
  readonly #host: SessionHost
  readonly #passwords: PasswordDatabase
  readonly #replies: BinaryReplies
  #isAuthenticated = false
  /** Whether a mechanism was chosen, so that `SASL Step` may send its message. */
  #isStarted = false
  /** Whether the exchange has succeeded, so that no further exchange is accepted. */
  #isDone = false
  #failures = 0
  /** The request whose message is being received. */
  #opcode = 0
  #isPlain = false
  #message = NOTHING
  #isTooLong = false

  constructor(host: SessionHost, passwords: PasswordDatabase, replies: BinaryReplies) {
    this.#host = host
    this.#passwords = passwords
    this.#replies = replies
  }

  /** Returns whether the connection may send this command now. */
  allows(opcode: number): boolean {
    if (this.#isAuthenticated) return true
    return isSaslCommand(opcode) || opcode === Opcode.version
  }

  /** Handles one of the three commands. Returns the result of a `BinaryRequestHandler` for a request. */
  request({ opcode, buffer, keyStart, keyLength, valueLength }: BinaryRequest): number {
    if (opcode === Opcode.saslMechanisms) {
      this.#isAuthenticated = false
      this.#replies.value(MECHANISMS)
      return NONE
    }
    if (keyLength > MAX_MECHANISM_BYTES) {
      this.#replies.error(Status.invalid)
      return NONE
    }
    const { settings } = this.#host.context.store
    if (itemBytes(keyLength, 0, valueLength) > settings.largestChunkBytes) {
      // memcached holds the message in an item of one chunk.
      this.#replies.error(Status.outOfMemory)
      return NONE
    }
    this.#opcode = opcode
    this.#isPlain = buffer.toString('latin1', keyStart, keyStart + keyLength).toUpperCase() === 'PLAIN'
    this.#isTooLong = valueLength > MAX_MESSAGE_BYTES
    this.#message = this.#isTooLong ? NOTHING : Buffer.alloc(valueLength)
    return VALUE
  }

  /** Takes a piece of the message. */
  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (!this.#isTooLong) buffer.copy(this.#message, offset, start, end)
  }

  /** Responds to the complete message. Returns `STOP` if that was the last attempt. */
  dataEnd(): number {
    const message = this.#message
    this.#message = NOTHING
    this.#isAuthenticated = false
    const isStep = this.#opcode === Opcode.saslStep
    if (!isStep && !this.#isDone) this.#isStarted = this.#isPlain
    if (this.#isDone || !this.#isStarted) return this.#fail(NOTHING)
    if (!isStep && message.length === 0 && !this.#isTooLong) {
      this.#replies.header(Status.authContinue, undefined, { extras: 0, key: 0, value: 0 })
      return NONE
    }
    const { user, isAllowed } = this.#check(message)
    message.fill(0)
    if (!isAllowed) {
      if (!isStep) this.#isStarted = false
      return this.#fail(user)
    }
    this.#isAuthenticated = true
    this.#isDone = true
    this.#host.context.counters.authCommands++
    this.#replies.value(AUTHENTICATED)
    return NONE
  }

  /**
   * Checks a message, `authorization-id NUL user NUL password`. The authorization id must be empty or equal to the
   * user, since no user may act for another user.
   */
  #check(message: Buffer): { user: Buffer; isAllowed: boolean } {
    const first = message.indexOf(0)
    const second = first === -1 ? -1 : message.indexOf(0, first + 1)
    if (second === -1) return { user: NOTHING, isAllowed: false }
    const user = Buffer.from(message.subarray(first + 1, second))
    const password = message.subarray(second + 1)
    const isOneself = first === 0 || message.subarray(0, first).equals(user)
    const isAllowed = user.length > 0 && isOneself && !password.includes(0) && this.#passwords.allows(user, password)
    return { user, isAllowed }
  }

  #fail(user: Buffer): number {
    const { counters } = this.#host.context
    counters.authCommands++
    counters.authErrors++
    this.#host.owner.refusedCredentials(user)
    this.#replies.error(Status.authError)
    if (++this.#failures < MAX_FAILURES) return NONE
    this.#host.close('error')
    return STOP
  }
}

/** Returns whether the command is one of SASL's three. */
export function isSaslCommand(opcode: number): boolean {
  return opcode === Opcode.saslMechanisms || opcode === Opcode.saslAuth || opcode === Opcode.saslStep
}
