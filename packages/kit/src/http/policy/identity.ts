import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** Properties that frameworks, passport and guards set on the request of a known user. */
const IDENTITY_PROPERTIES = ['user', 'auth', 'account', 'currentUser'] as const

/** Whether a client has authenticated by a TLS certificate. */
export function hasClientCertificate({ socket }: IncomingMessage): boolean {
  return (socket as Partial<TLSSocket> | undefined)?.authorized === true
}

/** A request as an application sees it: Node's request, or a framework's object. */
export type ApplicationRequest = object

/** Whether the application has identified the user of a request, by any means. */
export function hasIdentity(...requests: readonly ApplicationRequest[]): boolean {
  return requests.some((request) => tellsSomebody(request) || tellsSomebody(localsOf(request)))
}

function tellsSomebody(holder: object | undefined): boolean {
  return (
    holder !== undefined && IDENTITY_PROPERTIES.some((name) => isSomebody((holder as Record<string, unknown>)[name]))
  )
}

/** Express's `locals` for the views of a response. */
function localsOf(request: ApplicationRequest): object | undefined {
  const { locals } = (request as { res?: { locals?: unknown } }).res ?? {}
  return typeof locals === 'object' && locals !== null ? locals : undefined
}

function isSomebody(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

/** Properties that middleware before the cache sets for each client: the session, its id, the CSRF token. */
const SESSION_PROPERTIES = ['session', 'sessionID', 'sessionId', 'csrfToken'] as const

/**
 * Watches whether a handler reads the session of its request, or identifies the user by itself: then its response
 * belongs to this client, unless it says otherwise. Middleware outside of the cache may use the session, since it runs
 * for each client.
 */
export class IdentityWatch {
  readonly #requests: readonly ApplicationRequest[]
  readonly #restore: (() => void)[] = []
  #isPaused = false
  #usesSession = false

  readonly #isOutside: (() => boolean) | undefined

  /**
   * @param application the request as the application sees it, if that is another object.
   * @param isOutside whether the code that runs now is not the handler.
   */
  constructor(request: IncomingMessage, application: ApplicationRequest | undefined, isOutside?: () => boolean) {
    this.#isOutside = isOutside
    this.#requests = application === undefined || application === request ? [request] : [request, application]
    for (const watched of this.#requests) {
      for (const name of SESSION_PROPERTIES) this.#watch(watched, name)
    }
  }

  /** Whether the response may depend on the user. */
  get sees(): boolean {
    return this.#usesSession || hasIdentity(...this.#requests)
  }

  /** Whether the handler could still identify the user, since there is a session to read. */
  get maySee(): boolean {
    return this.#restore.length > 0
  }

  /** Runs code that is not the handler's: middleware outside of the cache. */
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
