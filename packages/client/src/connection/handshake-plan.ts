import { MemcacheProtocolError } from 'memcache-ts-protocol'
import type { Protocol, ProtocolName } from '../protocols/protocol.ts'
import { firstProtocol, shakeHands } from './handshake.ts'
import type { Credentials, Handshake } from './handshake.ts'
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
  #triedOtherAuth = false
  #hasBegun = false

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
    this.#triedOtherAuth = false
    return protocol
  }

  /** Whether another handshake, which `start` begins, may succeed where this one failed. */
  mayTryAnother(failure: HandshakeFailure): boolean {
    if (this.#meta.isAsking) return failure === 'hungUp' ? this.#meta.hungUp() : this.#meta.denied()
    // A server that speaks SASL alone hangs up on text, and one that speaks text alone on SASL.
    const mayBeOtherAuth = this.#credentials !== undefined && this.#protocol === 'auto' && this.#hasBegun
    if (failure === 'hungUp' && mayBeOtherAuth && !this.#triedOtherAuth) {
      this.#triedOtherAuth = true
      this.#sasl = !this.#sasl
      return true
    }
    this.#triedOtherAuth = false
    return false
  }
}
