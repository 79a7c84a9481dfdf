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
  return requests.some((request) => tellsSomebody(request) || tellsSomebody(localsOf(request)))
}

function tellsSomebody(holder: object | undefined): boolean {
  return (
    holder !== undefined && IDENTITY_PROPERTIES.some((name) => isSomebody((holder as Record<string, unknown>)[name]))
  )
}

/** What Express' applications keep for the views of a response. */
function localsOf(request: ApplicationRequest): object | undefined {
  const { locals } = (request as { res?: { locals?: unknown } }).res ?? {}
  return typeof locals === 'object' && locals !== null ? locals : undefined
}

function isSomebody(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

/**
 * What middleware before the cache has opened or made for whoever sent the request: the session, its id, the token of
 * its forms.
 */
const SESSION_PROPERTIES = ['session', 'sessionID', 'sessionId', 'csrfToken'] as const

/**
 * Watches whether a handler looks at the session of its request, or finds out by itself who sent it: then its response
 * is this client's, if it does not say otherwise. What middleware outside of the cache does with the session counts for
 * nothing: it does so for each client.
 */
export class IdentityWatch {
  readonly #requests: readonly ApplicationRequest[]
  readonly #restore: (() => void)[] = []
  #isPaused = false
  #usesSession = false

  readonly #isOutside: (() => boolean) | undefined

  /**
   * @param application the request as the application sees it, if that is another object.
   * @param isOutside whether what runs now is not the handler.
   */
  constructor(request: IncomingMessage, application: ApplicationRequest | undefined, isOutside?: () => boolean) {
    this.#isOutside = isOutside
    this.#requests = application === undefined || application === request ? [request] : [request, application]
    for (const watched of this.#requests) {
      for (const name of SESSION_PROPERTIES) this.#watch(watched, name)
    }
  }

  /** Whether the response may depend on who sent the request. */
  get sees(): boolean {
    return this.#usesSession || hasIdentity(...this.#requests)
  }

  /** Whether the handler may still find out, since there is a session to look at. */
  get maySee(): boolean {
    return this.#restore.length > 0
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

  get #isHandler(): boolean {
    return !this.#isPaused && this.#isOutside?.() !== true
  }

  end(): void {
    this.#isPaused = true
    for (const restore of this.#restore.splice(0)) restore()
  }

  #watch(request: ApplicationRequest, name: string): void {
    const own = Object.getOwnPropertyDescriptor(request, name)
    if (own?.configurable !== true) return
    const isAccessor = 'get' in own
    if (!isAccessor && !isSomebody(own.value)) return
    Object.defineProperty(request, name, {
      configurable: true,
      enumerable: own.enumerable ?? true,
      get: (): unknown => {
        this.#usesSession ||= this.#isHandler
        return isAccessor ? (own.get?.call(request) as unknown) : own.value
      },
      set: (value: unknown) => {
        this.#usesSession ||= this.#isHandler
        if (isAccessor) own.set?.call(request, value)
        else own.value = value
      },
    })
    this.#restore.push(() => Object.defineProperty(request, name, own))
  }
}
