import type { IncomingMessage } from 'node:http'
import { sessionNames } from '../../request-sessions.ts'
import {
  hasIdentity,
  IDENTITY_PROPERTIES,
  inheritedNames,
  isMessageName,
  isOrdinaryName,
  isPresent,
  isStateName,
  isUserName,
  localsOf,
  identifiesUser,
} from './identity.ts'
import type { ApplicationRequest } from './identity.ts'

/** Properties that middleware before the cache sets for each client: the session, its id, the CSRF token. */
const SESSION_PROPERTIES = ['session', 'sessionID', 'sessionId', 'csrfToken'] as const

/**
 * The properties whose use by the handler makes a response belong to its client: nothing; the session and the user; or
 * also everything else that middleware before the cache has set on the request or for the views.
 */
export type WatchScope = 'nothing' | 'identity' | 'properties'

/** Properties that loggers and tracers set for each request, with its id and its time. */
const TRACING_NAME =
  /^_|^(?:request|req|correlation|trace|span|transaction)-?id$|^log(?:ger)?$|^start|time$|^trace$|^span$/i

/** A request that is watched, and its response. */
export interface WatchedExchange {
  readonly request: IncomingMessage
  readonly response: object
  readonly application: ApplicationRequest | undefined
  /** Further objects from which the handler may know the user. */
  readonly contexts?: readonly object[] | undefined
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
  readonly #contexts: readonly object[]
  readonly #isStrict: boolean
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
  constructor({ request, response, application, contexts = [], isOutside }: WatchedExchange, scope: WatchScope) {
    this.#isStrict = scope === 'properties'
    this.#isOutside = isOutside
    this.#response = response
    this.#contexts = contexts
    this.#requests = application === undefined || application === request ? [request] : [request, application]
    for (const watched of this.#requests) {
      for (const name of this.#usedNames(watched)) this.#watchUse(watched, name)
      // A handler may remove them again, at a logout.
      for (const name of IDENTITY_PROPERTIES) this.#watchSet(watched, name)
    }
    const locals = localsOf(response)
    if (locals !== undefined) this.#watchLocals(locals)
    for (const context of contexts) for (const name of usedNames(context)) this.#watchUse(context, name)
  }

  /** Whether the response may depend on the user. */
  get sees(): boolean {
    // The properties are read here, and not by the handler.
    return (
      this.#isUsed || this.outside(() => this.#holders.some(hasIdentity) || identifiesUser(localsOf(this.#response)))
    )
  }

  get #holders(): readonly object[] {
    return this.#contexts.length === 0 ? this.#requests : [...this.#requests, ...this.#contexts]
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

  #usedNames(holder: object): Set<string> {
    const names = usedNames(holder)
    if (this.#isStrict)
      for (const name of Object.keys(holder)) if (!isOrdinaryName(name) && !TRACING_NAME.test(name)) names.add(name)
    return names
  }

  /** Watches what middleware has set for the views; of a client with a session, its messages too. */
  #watchLocals(locals: object): void {
    const hasSession = this.#maySee
    for (const name of this.#usedNames(locals)) this.#watchUse(locals, name)
    if (hasSession) for (const name of Object.keys(locals).filter(isMessageName)) this.#watchUse(locals, name)
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

/**
 * Returns the properties that belong to one client if the handler uses them: sessions of any name, other state of a
 * client, and methods that return the user.
 */
function usedNames(holder: object): Set<string> {
  const names = new Set<string>([...SESSION_PROPERTIES, ...sessionNames(holder)])
  for (const name of Object.keys(holder)) {
    if (isStateName(name)) names.add(name)
    else if (!isOrdinaryName(name)) {
      const value: unknown = Object.getOwnPropertyDescriptor(holder, name)?.value
      if (typeof value === 'function' ? isUserName(name) : isSession(value)) names.add(name)
    }
  }
  for (const name of inheritedNames(holder))
    if (isStateName(name) || typeof inheritedProperty(holder, name)?.value === 'function') names.add(name)
  return names
}

/** Returns whether a value is a session of a library, in a property of any name. */
function isSession(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  try {
    const { regenerate, changed, get, set } = value as Record<string, unknown>
    // express-session and its like; @fastify/secure-session.
    if (typeof regenerate === 'function') return true
    return typeof changed === 'boolean' && typeof get === 'function' && typeof set === 'function'
  } catch {
    return true
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
