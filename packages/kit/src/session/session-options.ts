import { randomBytes } from 'node:crypto'
import { types } from 'node:util'
import { checkOptions, kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import { engineOf } from '../engine/engine.ts'
import { describeValue, requireOptions, requireType } from '../option-types.ts'
import { CacheDown } from './cache-down.ts'
import type { OnCacheDown } from './cache-down.ts'
import { Cookie } from './cookie.ts'
import type { CookieOptions } from './cookie.ts'
import type { Secret } from './id-cookie.ts'
import { SignedIds } from './id-cookie.ts'
import { MemcacheStore } from './memcache-store.ts'
import { sessionCookie } from './session-cookie.ts'
import { generateFor } from './session.ts'
import type { AnyStore } from './session.ts'
import { STORE_HINTS, STORE_OPTIONS } from './store-options.ts'
import type { MemcacheStoreOptions } from './store-options.ts'

/** Options of sessions in every framework; all have defaults. */
export interface SessionOptions<Request> extends Omit<MemcacheStoreOptions, 'cookie'> {
  /**
   * The secret that signs the cookie. If there are several secrets, the first signs, and all are accepted. Default: the
   * environment variable `SESSION_SECRET`; without it, a random secret in development and an error in production.
   */
  secret?: Secret | readonly Secret[] | undefined
  /** Options of the cookie, or a function of the request that returns them. */
  cookie?: CookieOptions | ((request: Request) => CookieOptions) | undefined
  /** Returns a new session id. Default: 24 random bytes in base64url. */
  genid?: ((request: Request) => string) | undefined
  /** The name of the cookie. Default `connect.sid`. */
  name?: string | undefined
  /** Whether `X-Forwarded-Proto` is trusted. Default: the framework's setting. */
  proxy?: boolean | undefined
  /** Store sessions even if they were not changed. Default false. */
  resave?: boolean | undefined
  /** Send the cookie with every response. Default false. */
  rolling?: boolean | undefined
  /** Store new sessions even if nothing was put into them. Default false. */
  saveUninitialized?: boolean | undefined
  /** The effect of `request.session = null`: `destroy` the stored session, or `keep` it. Default `keep`. */
  unset?: 'destroy' | 'keep' | undefined
  /** The behaviour of requests while memcached does not respond. Default `error`. */
  onCacheDown?: OnCacheDown | undefined
  /** Returns whether a request gets no session, such as a health check or an asset. Default: every request gets one. */
  skip?: ((request: Request) => boolean) | undefined
  /**
   * A store made for express-session, instead of memcached. Its sessions are not merged. If a session cannot be saved,
   * the response is sent anyway, as express-session does.
   */
  store?: AnyStore | undefined
}

const OPTION_NAMES = [
  ...STORE_OPTIONS,
  'genid',
  'name',
  'onCacheDown',
  'proxy',
  'resave',
  'rolling',
  'saveUninitialized',
  'secret',
  'skip',
  'store',
  'unset',
] as const satisfies readonly (keyof SessionOptions<unknown>)[]

const COOKIE_OPTIONS = [
  'domain',
  'encode',
  'expires',
  'httpOnly',
  'maxAge',
  'partitioned',
  'path',
  'priority',
  'sameSite',
  'secure',
  'signed',
] as const satisfies readonly (keyof CookieOptions)[]

const HINTS = { ...STORE_HINTS, maxAge: 'cookie.maxAge', key: 'name', keys: 'secret', cookieName: 'name' }

/** The options with their defaults applied. */
export interface SessionSettings<Request = unknown> {
  readonly name: string
  /** `undefined` if the secret of cookie-parser is used: with another kind of store and no secret. */
  readonly secrets: readonly Secret[] | undefined
  readonly signedIds: SignedIds
  readonly store: AnyStore
  readonly cookie: CookieOptions | ((request: Request) => CookieOptions)
  readonly genid: (request: Request) => string
  readonly proxy: boolean | undefined
  readonly resave: boolean
  readonly rolling: boolean
  readonly saveUninitialized: boolean
  readonly unsetDestroys: boolean
  /** Whether the methods of sessions return promises if they are called without a callback. */
  readonly givesPromises: boolean
  readonly skip: ((request: Request) => boolean) | undefined
  /** Returns whether the store is connected; if not, requests have no session. */
  readonly isAvailable: () => boolean
  /** Decides about failed reads and writes; `undefined` if a store of another kind follows express-session's rules. */
  readonly down: CacheDown | undefined
}

const DEFAULT_NAME = 'connect.sid'
const ID_BYTES = 24

/**
 * Returns the settings for the given options.
 *
 * @param owner the name of the public function that takes the options, for error messages.
 * @param methods.givesPromises whether the methods of sessions return promises if they are called without a callback.
 * @throws MemcacheOptionError if an option is unknown or invalid, or if a secret is needed and not set.
 */
export function sessionSettings<Request>(
  owner: string,
  options: SessionOptions<Request>,
  { givesPromises }: { readonly givesPromises: boolean },
): SessionSettings<Request> {
  checkOptions(owner, options, { names: OPTION_NAMES, hints: HINTS })
  const { cache, genid, unset, onCacheDown = 'error', skip, proxy, resave, rolling, saveUninitialized } = options
  requireType(owner, 'boolean', { proxy, resave, rolling, saveUninitialized })
  if (genid !== undefined && typeof genid !== 'function')
    throw new MemcacheOptionError(
      'genid option must be a function that returns an id: genid: (request) => crypto.randomUUID()',
    )
  if (unset !== undefined && unset !== 'destroy' && unset !== 'keep') {
    throw new MemcacheOptionError('unset option must be "destroy" or "keep"')
  }
  if (skip !== undefined && typeof skip !== 'function') {
    throw new MemcacheOptionError(
      `skip must be a function of the request that returns a boolean, got ${describeValue(skip)}`,
    )
  }
  const down = new CacheDown(onCacheDown, (message) => engineOf(cache ?? getDefaultMemcache()).host.log.warn(message))
  checkName(owner, options.name)
  checkCookie(owner, options.cookie)
  if (options.store !== undefined) requireStore(owner, options.store)
  const store = options.store ?? openStore(options)
  const isOurs = options.store === undefined || store instanceof MemcacheStore
  store.generate = generateFor
  return {
    name: options.name ?? DEFAULT_NAME,
    secrets: secretsOf(owner, options),
    signedIds: new SignedIds(),
    store,
    cookie: sessionCookie(options.cookie),
    genid: genid ?? generateId,
    proxy,
    resave: resave ?? false,
    rolling: rolling ?? false,
    saveUninitialized: saveUninitialized ?? false,
    unsetDestroys: unset === 'destroy',
    givesPromises,
    skip,
    isAvailable: isOurs && !down.skips ? always : connectionOf(store),
    down: isOurs ? down : undefined,
  }
}

/** @throws MemcacheOptionError if a cookie cannot have this name. */
function checkName(owner: string, name: unknown): void {
  if (name === undefined) return
  if (typeof name === 'string' && /^[!-:<>-~]+$/.test(name)) return
  throw new MemcacheOptionError(
    `${owner}: name must be the name of a cookie, such as 'sid'; got ${describeValue(name)}`,
  )
}

/** @throws MemcacheOptionError if the cookie cannot be made: otherwise each request with a new session would fail. */
function checkCookie(owner: string, cookie: unknown): void {
  if (cookie === undefined || typeof cookie === 'function') return
  requireOptions(`the option cookie of ${owner}`, cookie)
  // express-session keeps unknown properties of a cookie, so only names in another case are certainly mistakes.
  for (const name of Object.keys(cookie)) {
    const known = COOKIE_OPTIONS.find((option) => option !== name && option.toLowerCase() === name.toLowerCase())
    if (known !== undefined) {
      throw new MemcacheOptionError(`the option cookie of ${owner} has no '${name}': \`${name}\` is \`${known}\` here`)
    }
  }
  try {
    const { secure = true, ...others } = sessionCookie(cookie) as CookieOptions
    new Cookie({ ...others, secure: secure === 'auto' || secure }).serialize('name', 'id')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'an option cannot be read'
    throw new MemcacheOptionError(`${owner}: the option cookie is invalid: ${reason}`, { cause })
  }
}

/** @throws MemcacheOptionError if a store lacks a method that every store of express-session has. */
function requireStore(owner: string, store: unknown): void {
  const { get, set, destroy } = Object(store) as Partial<Record<string, unknown>>
  if ([get, set, destroy].every((method) => typeof method === 'function')) return
  throw new MemcacheOptionError(
    `${owner}: store must be a store of express-session, with get, set and destroy; got ${describeValue(store)}`,
  )
}

/** Returns a function that returns whether a store is connected, by the events of the store. */
function connectionOf(store: AnyStore): () => boolean {
  let isConnected = true
  store.on?.('disconnect', () => (isConnected = false))
  store.on?.('connect', () => (isConnected = true))
  return () => isConnected
}

const always = (): boolean => true

function openStore<Request>(options: SessionOptions<Request>): MemcacheStore {
  const { cookie } = options
  const storeOptions: MemcacheStoreOptions = { cookie: typeof cookie === 'object' ? cookie : undefined }
  for (const name of STORE_OPTIONS) {
    // A named option is passed on even if it is undefined, since some options refuse that.
    if (name !== 'cookie' && Object.hasOwn(options, name)) Object.assign(storeOptions, { [name]: options[name] })
  }
  return new MemcacheStore(storeOptions)
}

function secretsOf<Request>(
  owner: string,
  { secret, store, cache }: SessionOptions<Request>,
): readonly Secret[] | undefined {
  if (Array.isArray(secret)) {
    if (secret.length === 0) throw new MemcacheOptionError('secret option array must contain one or more strings')
    for (const each of secret as readonly unknown[]) requireSecret(owner, each)
    return secret as readonly Secret[]
  }
  if (secret !== undefined && secret !== '') {
    requireSecret(owner, secret)
    return [secret as Secret]
  }
  if (store !== undefined && (process.env['SESSION_SECRET'] ?? '') === '') return undefined
  return [defaultSecret(owner, process.env, cache?.client.servers)]
}

/**
 * Checks a secret.
 *
 * @throws MemcacheOptionError if it cannot sign; the message does not show it.
 */
function requireSecret(owner: string, secret: unknown): void {
  if (typeof secret === 'string' ? secret !== '' : isKey(secret)) return
  throw new MemcacheOptionError(
    `${owner}: a secret must be a string that is not empty, or bytes; got ${secret === '' ? 'an empty string' : kindOf(secret)}`,
  )
}

function isKey(secret: unknown): boolean {
  return ArrayBuffer.isView(secret) || types.isAnyArrayBuffer(secret) || types.isKeyObject(secret)
}

function generateId(): string {
  return randomBytes(ID_BYTES).toString('base64url')
}

/** Shared by all sessions of this process, so that two middlewares accept each other's cookies. */
let randomSecret: string | undefined

/**
 * Returns the secret from the environment, or a random one if no other process has to know it.
 *
 * @param owner the name of the public function, for the error message.
 * @throws MemcacheOptionError if it is not set in production or with shared servers.
 */
function defaultSecret(owner: string, env: NodeJS.ProcessEnv, servers: readonly string[] | undefined): string {
  const secret = env['SESSION_SECRET']
  if (secret !== undefined && secret !== '') return secret
  const shared = (env['MEMCACHE_SERVERS'] ?? '') !== '' || servers?.some((server) => server !== 'embedded') === true
  if (env['NODE_ENV'] === 'production' || shared) {
    throw new MemcacheOptionError(
      `no secret is set to sign session cookies with: set SESSION_SECRET to the same value in all processes, or pass ${owner}({ secret })`,
    )
  }
  if (randomSecret !== undefined) return randomSecret
  process.emitWarning(
    'SESSION_SECRET is not set: a random secret is used, so all sessions end when this process exits; set SESSION_SECRET to keep them',
    {
      code: 'MEMCACHE_SESSION_SECRET',
    },
  )
  return (randomSecret = randomBytes(32).toString('base64url'))
}
