import type { TLSSocket } from 'node:tls'

/**
 * Properties that Node, frameworks and parsers set on every request. They identify no user, with any words in their
 * names.
 */
const ORDINARY: ReadonlySet<string> = new Set([
  '_body',
  '_consuming',
  '_dumped',
  '_events',
  '_eventsCount',
  '_maxListeners',
  '_parsedUrl',
  '_readableState',
  'aborted',
  'baseUrl',
  'body',
  'client',
  'complete',
  'cookies',
  'headers',
  'httpVersion',
  'httpVersionMajor',
  'httpVersionMinor',
  'id',
  'joinDuplicateHeaders',
  'log',
  'method',
  'next',
  'originalMethod',
  'originalUrl',
  'params',
  'query',
  'raw',
  'rawHeaders',
  'rawTrailers',
  'res',
  'route',
  // The secret of cookie-parser.
  'secret',
  'server',
  'signedCookies',
  'socket',
  'statusCode',
  'statusMessage',
  'upgrade',
  'url',
])

const PERSON = [
  'user|member|customer|account|subscriber|visitor|viewer|employee|student|patient|person|player|buyer|seller|shopper',
  'admin|actor|caller|me|profile|persona|identity|principal|claims|permissions|roles|uid|e-?mail',
  'jwt|token|decoded|oidc|oauth|saml|kauth|auth|authenticated|login|logged-?in',
]

/** A name that ends with a word for a user, or with what is known of one: `apiUser`, `customer_id`, `decodedToken`. */
const USER_NAME = new RegExp(
  `(?:^|-)(?:${PERSON.join('|')})(?:-?(?:id|name|info|data|details|payload|context|profile|record))?$`,
)

/** A name with a word for the state of one client: its session, its CSRF token, its cart, or a nonce. */
const STATE_NAME = /(?:^|-)(?:sess|session|csrf|xsrf|flash|cart|basket|nonce)(?:-|$)/

/** Returns whether a property is one of every request, and not one that the application has set. */
export function isOrdinaryName(name: string): boolean {
  return ORDINARY.has(name)
}

/** Returns a name in words: `current-user` for `currentUser` and `_current_user`. */
function wordsOf(name: string): string {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase()
}

/**
 * Returns whether a property of a request holds its user, by its name. Names in capitals are those of settings, such as
 * `API_TOKEN`.
 */
export function isUserName(name: string): boolean {
  if (ORDINARY.has(name) || name === name.toUpperCase()) return false
  const words = wordsOf(name)
  return USER_NAME.test(words) && !STATE_NAME.test(words)
}

/** Returns whether a property of a request holds the state of one client, by its name. */
export function isStateName(name: string): boolean {
  return !ORDINARY.has(name) && STATE_NAME.test(wordsOf(name))
}

/** Returns whether a property may have messages for one client, such as those of connect-flash, by its name. */
export function isMessageName(name: string): boolean {
  return /(?:^|-)(?:messages?|alerts?|notices?|notifications?|errors?|success|info|warnings?)$/.test(wordsOf(name))
}

/** Properties that frameworks, passport and guards set on the request of a known user. */
export const IDENTITY_PROPERTIES = [
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
export function hasClientCertificate(request: ApplicationRequest): boolean {
  const socket = objectIn(request, 'socket')
  const { authorized, authorizationError, getPeerCertificate } = (socket ?? {}) as Partial<TLSSocket>
  if (authorized === true) return true
  // Only a server that requests certificates has an error.
  if (authorizationError === undefined || authorizationError === null || getPeerCertificate === undefined) return false
  const certificate = getPeerCertificate.call(socket) as object | null
  return certificate !== null && Object.keys(certificate).length > 0
}

/** A request as an application sees it: Node's request, or a framework's object. */
export type ApplicationRequest = object

/** Objects of a request in which applications keep what they know of it. */
const CONTEXTS = ['locals', 'state', 'context', 'ctx'] as const

/**
 * Returns whether the application has identified the user of a request: by any of the known properties, by a property
 * with a word for a user in its name, or by `isAuthenticated()`, as passport and others have it.
 */
export function hasIdentity(request: ApplicationRequest): boolean {
  if (identifiesUser(request) || identifiesUser(localsOf((request as { res?: object }).res))) return true
  return CONTEXTS.some((name) => Object.hasOwn(request, name) && identifiesUserAt(request, name))
}

function identifiesUserAt(request: ApplicationRequest, name: string): boolean {
  try {
    return identifiesUser(objectIn(request, name))
  } catch {
    return true
  }
}

/**
 * Returns whether an object that a handler gets besides the request identifies the user, or has sent a certificate: to
 * Node, or to Cloudflare Workers (`request.cf`).
 */
export function isOfKnownUser(context: object): boolean {
  try {
    const { cf } = context as { cf?: { tlsClientAuth?: { certPresented?: unknown } } }
    return hasClientCertificate(context) || cf?.tlsClientAuth?.certPresented === '1' || hasIdentity(context)
  } catch {
    // Its properties cannot be read, so assume that there is a user.
    return true
  }
}

export function identifiesUser(holder: object | undefined): boolean {
  if (holder === undefined) return false
  if (isAuthenticated(holder) || IDENTITY_PROPERTIES.some((name) => hasIdentityAt(holder, name))) return true
  if (Object.keys(holder).some((name) => isUserName(name) && hasUserAt(holder, name))) return true
  return inheritedNames(holder).some((name) => isUserName(name) && hasUserAt(holder, name))
}

/** The names of users and of clients' state that the prototypes of requests have. */
const inherited = new WeakMap<object, readonly string[]>()

/**
 * Returns the inherited properties of an object that may hold a user or the state of a client, by their names:
 * frameworks decorate the prototype of all requests, with getters too. The names are collected once for each
 * prototype.
 */
export function inheritedNames(holder: object): readonly string[] {
  const prototype = Object.getPrototypeOf(holder) as object | null
  if (prototype === null || prototype === Object.prototype) return []
  const known = inherited.get(prototype)
  if (known !== undefined) return known
  const names: string[] = []
  for (let at: object | null = prototype; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at))
    if (!isFetchPrototype(at))
      names.push(...Object.getOwnPropertyNames(at).filter((name) => isUserName(name) || isStateName(name)))
  inherited.set(prototype, names)
  return names
}

/** Returns whether an object is the prototype of Fetch's `Request`, whose `credentials` are a mode, not those of a user. */
function isFetchPrototype(prototype: object): boolean {
  return Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag)?.value === 'Request'
}

/** Returns the result of a holder's `isAuthenticated()`, if it has that method. */
function isAuthenticated(holder: object): boolean {
  try {
    const { isAuthenticated: method } = holder as { isAuthenticated?: unknown }
    return typeof method === 'function' && isPresent(method.call(holder))
  } catch {
    return true
  }
}

function hasIdentityAt(holder: object, name: string): boolean {
  try {
    return isPresent((holder as Record<string, unknown>)[name])
  } catch {
    // A getter that throws may hide a user, so the response must not be shared.
    return true
  }
}

/**
 * Returns whether a property that is only known by its name holds a user. Libraries set some such properties for every
 * request: methods, empty objects, and objects with `isAuthenticated()`.
 */
function hasUserAt(holder: object, name: string): boolean {
  try {
    const value = (holder as Record<string, unknown>)[name]
    if (!isPresent(value) || typeof value === 'function') return false
    if (typeof value !== 'object') return true
    if (typeof (value as { isAuthenticated?: unknown }).isAuthenticated === 'function') return isAuthenticated(value!)
    return !isEmpty(value!)
  } catch {
    return true
  }
}

function isEmpty(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  const isPlain = prototype === Object.prototype || prototype === null || Array.isArray(value)
  return isPlain && Object.keys(value).length === 0
}

/** Returns an object in a property; `undefined` if it is no object. */
function objectIn(holder: object, name: string): object | undefined {
  const value = (holder as Record<string, unknown>)[name]
  return typeof value === 'object' && value !== null ? value : undefined
}

/** Returns Express's `locals`, the values for the views of a response; `undefined` if it has none. */
export function localsOf(response: object | undefined): object | undefined {
  return response === undefined || response === null ? undefined : objectIn(response, 'locals')
}

export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}
