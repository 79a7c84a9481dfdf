import { MemcacheAuthError, MemcacheProtocolError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { Protocol, ProtocolName } from '../protocols/protocol.ts'
import { firstProtocol, shakeHands } from './handshake.ts'
import type { Handshake } from './handshake.ts'
import type { Credentials } from './credentials.ts'
import { MetaSupport } from './meta-support.ts'

/** How a handshake failed. */
export type HandshakeFailure = 'hungUp' | 'silent' | 'nonsense'

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
    if (this.#meta.isPending && !this.#meta.answered(protocol.name === 'meta')) {
      throw new MemcacheProtocolError('the server says that it has no meta commands, and had them before')
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
