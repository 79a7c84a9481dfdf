import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** Properties that frameworks, passport and guards set on the request of a known user. */
const IDENTITY_PROPERTIES = [
  'user',
  'userId',
  'auth',
  'account',
  'currentUser',
  'identity',
  'principal',
  'claims',
  'jwt',
  'token',
] as const

/**
 * Returns whether a client has sent a TLS certificate. The application may accept it even if no authority of the server
 * has signed it.
 */
export function hasClientCertificate({ socket }: IncomingMessage): boolean {
  const { authorized, authorizationError, getPeerCertificate } = (socket ?? {}) as Partial<TLSSocket>
  if (authorized === true) return true
  // Only a server that requests certificates has an error.
  if (authorizationError === undefined || authorizationError === null || getPeerCertificate === undefined) return false
  const certificate = getPeerCertificate.call(socket) as object | null
  return certificate !== null && Object.keys(certificate).length > 0
}

/** A request as an application sees it: Node's request, or a framework's object. */
export type ApplicationRequest = object

/** Returns whether the application has identified the user of a request, by any of the known properties. */
export function hasIdentity(request: ApplicationRequest): boolean {
  return identifiesUser(request) || identifiesUser(localsOf((request as { res?: object }).res))
}

function identifiesUser(holder: object | undefined): boolean {
  return holder !== undefined && IDENTITY_PROPERTIES.some((name) => hasIdentityAt(holder, name))
}

function hasIdentityAt(holder: object, name: string): boolean {
  try {
    return isPresent((holder as Record<string, unknown>)[name])
  } catch {
    // A getter that throws may hide a user, so the response must not be shared.
    return true
  }
}

/** Returns Express's `locals`, the values for the views of a response; `undefined` if it has none. */
function localsOf(response: object | undefined): object | undefined {
  const { locals } = (response ?? {}) as { locals?: unknown }
  return typeof locals === 'object' && locals !== null ? locals : undefined
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

/** Properties that middleware before the cache sets for each client: the session, its id, the CSRF token. */
const SESSION_PROPERTIES = ['session', 'sessionID', 'sessionId', 'csrfToken'] as const

/** The identity properties that a login sets and a logout removes, perhaps before the response is sent. */
const SET_BY_LOGIN = ['user', 'auth', 'account', 'currentUser'] as const

/** A request that is watched, and its response. */
export interface WatchedExchange {
  readonly request: IncomingMessage
  readonly response: object
  readonly application: ApplicationRequest | undefined
  readonly isOutside: (() => boolean) | undefined
}

/**
 * Watches whether a handler reads the session of its request or identifies the user. If it does, its response belongs
 * to this client, unless its `Cache-Control` allows sharing. Middleware outside of the cache may use the session, since
 * it runs for each client.
 */
export class IdentityWatch {
  readonly #requests: readonly ApplicationRequest[]
  readonly #response: object
  readonly #isOutside: (() => boolean) | undefined
  readonly #restore: (() => void)[] = []
  #isPaused = false
  /** Whether the handler has used the session, or has set an identity, which it may remove again. */
  #isUsed = false
  #maySee = false

  /**
   * @param application the request as the application sees it, if that is another object.
   * @param isOutside whether the code that runs now is not the handler.
   */
  constructor({ request, response, application, isOutside }: WatchedExchange) {
    this.#isOutside = isOutside
    this.#response = response
    this.#requests = application === undefined || application === request ? [request] : [request, application]
    for (const watched of this.#requests) {
      for (const name of SESSION_PROPERTIES) this.#watchUse(watched, name)
      for (const name of SET_BY_LOGIN) this.#watchSet(watched, name)
    }
  }

  /** Whether the response may depend on the user. */
  get sees(): boolean {
    return this.#isUsed || this.#requests.some(hasIdentity) || identifiesUser(localsOf(this.#response))
  }

  /** Whether the handler could still identify the user, since there is a session to read. */
  get maySee(): boolean {
    return this.#maySee
  }

  /** Runs code that is not part of the handler: middleware outside of the cache. */
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

  /** Notices that the handler reads or sets a property that has a value. */
  #watchUse(request: ApplicationRequest, name: string): void {
    const own = Object.getOwnPropertyDescriptor(request, name)
    const seen = own ?? inheritedProperty(request, name)
    if (seen === undefined) return
    const isAccessor = seen.get !== undefined || seen.set !== undefined
    if (!isAccessor && !isPresent(seen.value)) return
    this.#maySee = true
    if (own?.configurable === false || (own === undefined && !Object.isExtensible(request))) {
      // The property cannot be watched, so assume that it is used.
      this.#isUsed = true
      return
    }
    const { value: inherited } = seen as { value?: unknown }
    Object.defineProperty(request, name, {
      configurable: true,
      enumerable: own?.enumerable ?? false,
      get: (): unknown => {
        this.#isUsed ||= this.#isHandler
        return isAccessor ? (seen.get?.call(request) as unknown) : seen.value
      },
      set: (value: unknown) => {
        this.#isUsed ||= this.#isHandler
        if (isAccessor) seen.set?.call(request, value)
        else seen.value = value
      },
    })
    this.#restore.push(() => {
      if (own !== undefined) Object.defineProperty(request, name, seen)
      else {
        Reflect.deleteProperty(request, name)
        if (seen.value !== inherited) Reflect.set(request, name, seen.value)
      }
    })
  }

  /** Notices that the handler sets a property that has no value. It is then a plain property again. */
  #watchSet(request: ApplicationRequest, name: string): void {
    const own = Object.getOwnPropertyDescriptor(request, name)
    if (own === undefined ? name in request || !Object.isExtensible(request) : own.configurable !== true) return
    if (own?.get !== undefined || own?.set !== undefined || isPresent(own?.value)) return
    const restore = (): void => {
      if (own === undefined) Reflect.deleteProperty(request, name)
      else Object.defineProperty(request, name, own)
    }
    let isWatched = true
    Object.defineProperty(request, name, {
      configurable: true,
      enumerable: own?.enumerable ?? false,
      get: (): unknown => own?.value,
      set: (value: unknown) => {
        isWatched = false
        this.#isUsed ||= isPresent(value) && this.#isHandler
        restore()
        Reflect.set(request, name, value)
      },
    })
    this.#restore.push(() => {
      if (isWatched) restore()
    })
  }
}

/** Returns a property that a request inherits, since frameworks decorate the prototype of all requests. */
function inheritedProperty(request: ApplicationRequest, name: string): PropertyDescriptor | undefined {
  if (!(name in request)) return undefined
  for (let holder: unknown = Object.getPrototypeOf(request); holder !== null; holder = Object.getPrototypeOf(holder)) {
    const found = Object.getOwnPropertyDescriptor(holder, name)
    if (found !== undefined) return found
  }
  return undefined
}
