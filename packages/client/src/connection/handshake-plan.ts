import { MemcacheAuthError, MemcacheProtocolError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { Protocol, ProtocolName } from '../protocols/protocol.ts'
import { firstProtocol, shakeHands } from './handshake.ts'
import type { Handshake } from './handshake.ts'
import type { Credentials } from './credentials.ts'

/** The ways in which a handshake fails. */
export type HandshakeFailure = 'hungUp' | 'silent' | 'invalid'

/**
 * Decides which handshake a connection performs, by the results of earlier attempts: whether credentials are sent by
 * SASL or as text, if no option decides it, and whether a meta command is tried.
 */
export class HandshakePlan {
  readonly #credentials: Credentials | undefined
  readonly #protocol: ProtocolName | 'auto'
  readonly #meta = new MetaSupport()
  #sasl: boolean
  /** Whether the last handshake succeeded: a later hang-up is caused by the network or a restart. */
  #isKnown = false
  /** The failure of the first kind of authentication, while the other kind is tried. */
  #firstFailure: MemcacheError | undefined
  #hasBegun = false
  /** The reason why the last attempts failed, if it differs from the error of the last attempt. */
  reason: MemcacheError | undefined

  constructor(credentials: Credentials | undefined, protocol: ProtocolName | 'auto') {
    this.#credentials = credentials
    this.#protocol = protocol
    this.#sasl = protocol === 'binary'
  }

  /** Returns the protocol that a new stream begins with. */
  start(): Protocol {
    this.#hasBegun = false
    return firstProtocol(this.#sasl)
  }

  /** Performs the handshake; resolves to the protocol of all further requests. */
  async shakeHands(by: Pick<Handshake, 'request' | 'triesMeta' | 'redact'>): Promise<Protocol> {
    this.#hasBegun = true
    const protocol = await shakeHands({
      ...by,
      triesMeta: () => {
        this.#meta.isPending = true
        by.triesMeta()
      },
      sasl: this.#sasl,
      credentials: this.#credentials,
      protocol: this.#protocol === 'auto' && !this.#meta.mayTry ? 'text' : this.#protocol,
    })
    if (this.#meta.isPending && !this.#meta.responded(protocol.name === 'meta')) {
      throw new MemcacheProtocolError('the server reports that it has no meta commands, which it had before')
    }
    this.#isKnown = true
    this.#firstFailure = undefined
    return protocol
  }

  /** Returns whether another handshake, which `start` begins, may succeed where this one failed. */
  mayTryAnother(failure: HandshakeFailure, error: MemcacheError): boolean {
    this.reason = undefined
    if (this.#meta.isPending) return failure === 'hungUp' ? this.#meta.hungUp() : this.#meta.denied()
    if (this.#firstFailure !== undefined) {
      // The first kind is kept unless the other kind succeeds: the hang-up may have had other reasons.
      this.#sasl = !this.#sasl
      if (!(error instanceof MemcacheAuthError)) this.reason = this.#firstFailure
      this.#firstFailure = undefined
      return false
    }
    // A server with SASL only hangs up on text, and a server with text only may hang up on SASL.
    const mayBeOtherAuth = this.#credentials !== undefined && this.#protocol === 'auto' && this.#hasBegun
    const isOtherAuth = failure === 'hungUp' && mayBeOtherAuth && !this.#isKnown
    this.#isKnown = false
    if (!isOtherAuth) return false
    this.#firstFailure = error
    this.#sasl = !this.#sasl
    return true
  }
}

/**
 * If a server hung up on the first meta command, a meta command is tried again after this time: the hang-up may have
 * had another reason, and the server may have been replaced.
 */
const TRY_AGAIN_MS = 60_000
/** A server that is stopping hangs up once; a proxy without meta commands hangs up each time. */
const MAX_HANG_UPS = 2

/**
 * Decides whether the handshake tries a meta command. A proxy without meta commands may hang up, be silent, or send an
 * invalid response; the next connections then do not try it.
 */
class MetaSupport {
  #hangUps = 0
  /** Whether the last try succeeded: a later failure is caused by the network. */
  #isKnown = false
  #deniedAt = -Infinity
  /** Whether the meta command was sent and has no response yet. */
  isPending = false

  /** Whether the next connection tries it. */
  get mayTry(): boolean {
    return performance.now() - this.#deniedAt > TRY_AGAIN_MS
  }

  /**
   * Notes whether the server has meta commands, by its response.
   *
   * @returns whether the response is accepted. If the server had meta commands before, another connection is tried
   *   once: another server may have responded.
   */
  responded(hasMeta: boolean): boolean {
    this.isPending = false
    this.#hangUps = 0
    const isBelieved = hasMeta || !this.#isKnown
    this.#isKnown = hasMeta
    return isBelieved
  }

  /**
   * Notes that the server hung up. Returns whether the meta command was the reason, so that another connection may
   * succeed immediately.
   */
  hungUp(): boolean {
    if (!this.isPending || this.#isKnown) {
      this.isPending = false
      return false
    }
    this.#hangUps++
    if (this.#hangUps >= MAX_HANG_UPS) return this.denied()
    this.isPending = false
    return true
  }

  /**
   * Notes that no valid response was received. Returns whether another connection without the meta command may succeed
   * immediately.
   */
  denied(): boolean {
    const wasPending = this.isPending
    this.isPending = false
    if (!wasPending || this.#isKnown) return false
    this.#hangUps = 0
    this.#deniedAt = performance.now()
    return true
  }
}
