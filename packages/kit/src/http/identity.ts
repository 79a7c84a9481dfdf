import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** What frameworks, passport and guards leave on a request that they know the sender of. */
const IDENTITY_PROPERTIES = ['user', 'auth', 'account', 'currentUser'] as const

/** Whether a client has proved who it is before it sent anything: by a certificate that the server has asked for. */
export function hasClientCertificate({ socket }: IncomingMessage): boolean {
  return (socket as Partial<TLSSocket> | undefined)?.authorized === true
}

/** A request as an application sees it: Node's own, or the object that a framework made of it. */
export type ApplicationRequest = object

/** Whether the application has found out who sent a request, by whatever means. */
export function hasIdentity(...requests: readonly ApplicationRequest[]): boolean {
  return requests.some((request) =>
    IDENTITY_PROPERTIES.some((name) => isSomebody((request as Record<string, unknown>)[name])),
  )
}

function isSomebody(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

/** The session of a request, which middleware before the cache has opened for whoever sent it. */
const SESSION = 'session'

/**
 * Watches whether a handler looks at the session of its request, or finds out by itself who sent it: then its response is this client's, if it
 * does not say otherwise. What middleware outside of the cache does with the session counts for nothing: it does so for each client.
 */
export class IdentityWatch {
  readonly #requests: readonly ApplicationRequest[]
  readonly #restore: (() => void)[] = []
  #isPaused = false
  #usesSession = false

  /** @param requests the request as Node has it, and as the application sees it. */
  constructor(request: IncomingMessage, application: ApplicationRequest | undefined) {
    this.#requests = application === undefined || application === request ? [request] : [request, application]
    for (const watched of this.#requests) this.#watchSession(watched)
  }

  /** Whether the response may depend on who sent the request. */
  get sees(): boolean {
    return this.#usesSession || hasIdentity(...this.#requests)
  }

  /** Runs what is not the handler's: middleware outside of the cache. */
  outside<Result>(run: () => Result): Result {
    const before = this.#isPaused
    this.#isPaused = true
    try {
      return run()
    } finally {
      this.#isPaused = before
    }
  }

  end(): void {
    this.#isPaused = true
    for (const restore of this.#restore.splice(0)) restore()
  }

  #watchSession(request: ApplicationRequest): void {
    const own = Object.getOwnPropertyDescriptor(request, SESSION)
    if (own?.configurable !== true) return
    const isAccessor = 'get' in own
    if (!isAccessor && !isSomebody(own.value)) return
    Object.defineProperty(request, SESSION, {
      configurable: true,
      enumerable: own.enumerable ?? true,
      get: (): unknown => {
        this.#usesSession ||= !this.#isPaused
        return isAccessor ? (own.get?.call(request) as unknown) : own.value
      },
      set: (value: unknown) => {
        this.#usesSession ||= !this.#isPaused
        if (isAccessor) own.set?.call(request, value)
        else own.value = value
      },
    })
    this.#restore.push(() => Object.defineProperty(request, SESSION, own))
  }
}
