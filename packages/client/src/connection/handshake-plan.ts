import { MemcacheAuthError, MemcacheProtocolError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { Protocol, ProtocolName } from '../protocols/protocol.ts'
import { firstProtocol, shakeHands } from './handshake.ts'
import type { Handshake } from './handshake.ts'
import type { Credentials } from './credentials.ts'
import { MetaSupport } from './meta-support.ts'

/** How an attempt to shakeHands a server failed. */
export type HandshakeFailure = 'hungUp' | 'silent' | 'nonsense'

/**
 * Decides which handshake a connection makes, by what the attempts before have shown: whether credentials go by SASL or
 * as text, if no option says so, and whether it tries a meta command.
 */
export class HandshakePlan {
  readonly #credentials: Credentials | undefined
  readonly #protocol: ProtocolName | 'auto'
  readonly #meta = new MetaSupport()
  #sasl: boolean
  /** Whether the last handshake succeeded: a hang-up after that is the network's, or a server's that is restarted. */
  #isKnown = false
  /** While the other kind of authentication is tried: why the first one failed. */
  #firstFailure: MemcacheError | undefined
  #hasBegun = false
  /** Why the last attempts failed, if that is not the error of the last one. */
  reason: MemcacheError | undefined

  constructor(credentials: Credentials | undefined, protocol: ProtocolName | 'auto') {
    this.#credentials = credentials
    this.#protocol = protocol
    this.#sasl = protocol === 'binary'
  }

  /** The protocol that a new stream begins with. */
  start(): Protocol {
    this.#hasBegun = false
    return firstProtocol(this.#sasl)
  }

  /** Makes the handshake; resolves to the protocol for all further requests. */
  async shakeHands(by: Pick<Handshake, 'request' | 'asksForMeta' | 'redact'>): Promise<Protocol> {
    this.#hasBegun = true
    const protocol = await shakeHands({
      ...by,
      asksForMeta: () => {
        this.#meta.isAsking = true
        by.asksForMeta()
      },
      sasl: this.#sasl,
      credentials: this.#credentials,
      protocol: this.#protocol === 'auto' && !this.#meta.mayAsk ? 'text' : this.#protocol,
    })
    if (this.#meta.isAsking && !this.#meta.answered(protocol.name === 'meta')) {
      throw new MemcacheProtocolError('the server says that it has no meta commands, and had them before')
    }
    this.#isKnown = true
    this.#firstFailure = undefined
    return protocol
  }

  /** Whether another handshake, which `start` begins, may succeed where this one failed. */
  mayTryAnother(failure: HandshakeFailure, error: MemcacheError): boolean {
    this.reason = undefined
    if (this.#meta.isAsking) return failure === 'hungUp' ? this.#meta.hungUp() : this.#meta.denied()
    if (this.#firstFailure !== undefined) {
      // The first kind stays the one to try unless the other one succeeds: the hang-up may have had other reasons.
      this.#sasl = !this.#sasl
      if (!(error instanceof MemcacheAuthError)) this.reason = this.#firstFailure
      this.#firstFailure = undefined
      return false
    }
    // A server that speaks SASL alone hangs up on text, and one that speaks text alone may hang up on SASL.
    const mayBeOtherAuth = this.#credentials !== undefined && this.#protocol === 'auto' && this.#hasBegun
    const isOtherAuth = failure === 'hungUp' && mayBeOtherAuth && !this.#isKnown
    this.#isKnown = false
    if (!isOtherAuth) return false
    this.#firstFailure = error
    this.#sasl = !this.#sasl
    return true
  }
}
