import { randomBytes } from 'node:crypto'
import { types } from 'node:util'
import { checkOptions, kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import { engineOf } from '../engine/engine.ts'
import { describeValue, requireOptions } from '../option-types.ts'
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

/** Options of sessions, in whatever framework; none is needed. */
export interface SessionOptions<Request> extends Omit<MemcacheStoreOptions, 'cookie'> {
  /** Signs the cookie; the first of several signs, the others are still accepted. Default: `SESSION_SECRET`. */
  secret?: Secret | readonly Secret[] | undefined
  /** Options of the cookie, or a function of the request that returns them. */
  cookie?: CookieOptions | ((request: Request) => CookieOptions) | undefined
  /** Makes an id. Default: 24 random bytes. */
  genid?: ((request: Request) => string) | undefined
  /** The name of the cookie. Default `connect.sid`. */
  name?: string | undefined
  /** Whether `X-Forwarded-Proto` is trusted. Default: as the framework does. */
  proxy?: boolean | undefined
  /** Store sessions that were not changed. Default false. */
  resave?: boolean | undefined
  /** Send the cookie with every response. Default false. */
  rolling?: boolean | undefined
  /** Store sessions that nothing was put into. Default false. */
  saveUninitialized?: boolean | undefined
  /** The effect of `request.session = null`: `destroy` the stored session, or `keep` it. Default `keep`. */
  unset?: 'destroy' | 'keep' | undefined
  /** The behaviour of requests while memcached does not answer. Default `error`. */
  onCacheDown?: OnCacheDown | undefined
  /** Requests that have no session: health checks, assets. Default: none. */
  skip?: ((request: Request) => boolean) | undefined
  /**
   * A store made for express-session, in place of memcached. Its sessions are not merged, and when one cannot be saved
   * the response is sent all the same, as by express-session.
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

const HINTS = { ...STORE_HINTS, maxAge: 'cookie.maxAge', key: 'name', keys: 'secret', cookieName: 'name' }

/** The options, with their defaults. */
export interface SessionSettings<Request = unknown> {
  readonly name: string
  /** `undefined`: those of cookie-parser, where a store of express-session's is used without any. */
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
  /** Whether the methods of sessions return promises, where they are called without a callback. */
  readonly givesPromises: boolean
  readonly skip: ((request: Request) => boolean) | undefined
  /** Whether the store can be asked at all; requests have no session otherwise. */
  readonly isAvailable: () => boolean
  /** Decides about failed reads and writes; `undefined` if a store of another kind follows express-session's rules. */
  readonly down: CacheDown | undefined
}

const DEFAULT_NAME = 'connect.sid'
const ID_BYTES = 24

/**
 * Returns the settings that follow from options.
 *
 * @param owner the function that has the options, for the messages of errors.
 * @param givesPromises whether the methods of sessions return promises, where they are called without a callback.
 * @throws MemcacheOptionError if an option is unknown or invalid, and without a secret where one is needed.
 */
export function sessionSettings<Request>(
  owner: string,
  options: SessionOptions<Request>,
  givesPromises: boolean,
): SessionSettings<Request> {
  checkOptions(owner, options, OPTION_NAMES, HINTS)
  const { cache, genid, unset, onCacheDown = 'error', skip } = options
  if (genid !== undefined && typeof genid !== 'function')
    throw new MemcacheOptionError('genid option must be a function')
  if (unset !== undefined && unset !== 'destroy' && unset !== 'keep') {
    throw new MemcacheOptionError('unset option must be "destroy" or "keep"')
  }
  if (skip !== undefined && typeof skip !== 'function') {
    throw new MemcacheOptionError('skip must be a function of the request')
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
    proxy: options.proxy,
    resave: options.resave ?? false,
    rolling: options.rolling ?? false,
    saveUninitialized: options.saveUninitialized ?? false,
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
  try {
    const { secure = true, ...others } = sessionCookie(cookie) as CookieOptions
    new Cookie({ ...others, secure: secure === 'auto' || secure }).serialize('name', 'id')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'an option cannot be read'
    throw new MemcacheOptionError(`${owner}: the option cookie is invalid: ${reason}`, { cause })
  }
}

/** @throws MemcacheOptionError if a store lacks what every store of express-session has. */
function requireStore(owner: string, store: unknown): void {
  const { get, set, destroy } = Object(store) as Partial<Record<string, unknown>>
  if ([get, set, destroy].every((method) => typeof method === 'function')) return
  throw new MemcacheOptionError(
    `${owner}: store must be a store of express-session, with get, set and destroy; got ${describeValue(store)}`,
  )
}

/** Whether a store is connected, as it says itself by its events. */
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
    // An option that is named is passed on even if it is undefined: for some that is an error.
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

/** @throws MemcacheOptionError for what cannot sign; the secret is not shown. */
function requireSecret(owner: string, secret: unknown): void {
  if (typeof secret === 'string' ? secret !== '' : isKey(secret)) return
  throw new MemcacheOptionError(
    `${owner}: a secret must be text that is not empty, or bytes; got ${secret === '' ? 'empty text' : kindOf(secret)}`,
  )
}

function isKey(secret: unknown): boolean {
  return ArrayBuffer.isView(secret) || types.isAnyArrayBuffer(secret) || types.isKeyObject(secret)
}

function generateId(): string {
  return randomBytes(ID_BYTES).toString('base64url')
}

/** One for all sessions of this process, so that two middlewares read each other's cookies. */
let madeUpSecret: string | undefined

/**
 * The secret of the environment; a random one if no other process has to know it.
 *
 * @param owner what needs it: named by the error.
 * @throws MemcacheOptionError if there is none in production, or where the servers are shared.
 */
function defaultSecret(owner: string, env: NodeJS.ProcessEnv, servers: readonly string[] | undefined): string {
  const secret = env['SESSION_SECRET']
  if (secret !== undefined && secret !== '') return secret
  const shared = (env['MEMCACHE_SERVERS'] ?? '') !== '' || servers?.some((server) => server !== 'embedded') === true
  if (env['NODE_ENV'] === 'production' || shared) {
    throw new MemcacheOptionError(
      `sessions need a secret that all processes share: set SESSION_SECRET, or give ${owner}({ secret })`,
    )
  }
  if (madeUpSecret !== undefined) return madeUpSecret
  process.emitWarning('SESSION_SECRET is not set: using a random one, so sessions end with this process', {
    code: 'MEMCACHE_SESSION_SECRET',
  })
  return (madeUpSecret = randomBytes(32).toString('base64url'))
}
