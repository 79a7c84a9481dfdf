import { MemcacheProtocolError } from 'memcache-ts-protocol'
import type { Dialect, DialectName } from '../dialects/dialect.ts'
import { firstDialect, greet } from './greet.ts'
import type { Credentials, Greeting } from './greet.ts'
import { MetaSupport } from './meta-support.ts'

/** How an attempt to greet a server failed. */
export type GreetingFailure = 'hungUp' | 'silent' | 'nonsense'

/**
 * How a server is to be greeted, learned from the attempts before: whether credentials go by SASL or as text, where nobody said so, and
 * whether it is asked for meta commands.
 */
export class GreetingPlan {
  readonly #credentials: Credentials | undefined
  readonly #protocol: DialectName | 'auto'
  readonly #meta = new MetaSupport()
  #sasl: boolean
  #triedOtherAuth = false
  #hasBegun = false

  constructor(credentials: Credentials | undefined, protocol: DialectName | 'auto') {
    this.#credentials = credentials
    this.#protocol = protocol
    this.#sasl = protocol === 'binary'
  }

  /** The dialect that a new stream begins with. */
  start(): Dialect {
    this.#hasBegun = false
    return firstDialect(this.#sasl)
  }

  /** Greets the server; resolves to the dialect for what follows. */
  async greet(by: Pick<Greeting, 'ask' | 'asksForMeta' | 'redact'>): Promise<Dialect> {
    this.#hasBegun = true
    const dialect = await greet({
      ...by,
      asksForMeta: () => {
        this.#meta.isAsking = true
        by.asksForMeta()
      },
      sasl: this.#sasl,
      credentials: this.#credentials,
      protocol: this.#protocol === 'auto' && !this.#meta.mayAsk ? 'text' : this.#protocol,
    })
    if (this.#meta.isAsking && !this.#meta.answered(dialect.name === 'meta')) {
      throw new MemcacheProtocolError('the server says that it has no meta commands, and had them before')
    }
    this.#triedOtherAuth = false
    return dialect
  }

  /** Whether another greeting, which `start` begins, may succeed where this one failed. */
  mayTryAnother(failure: GreetingFailure): boolean {
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
