import { isOptionsRecord, kindOf, MemcacheOptionError } from 'memcache-ts-protocol'

type Kind = 'function' | 'boolean'

/** Examples of the types, for messages. */
const EXAMPLES: Readonly<Record<Kind, string>> = { function: '(id) => …', boolean: 'true or false' }

/**
 * Checks the types of options.
 *
 * @param wanted the type; with an example for the message, if the usual one does not fit.
 * @throws MemcacheOptionError if one of them is set and has another type.
 */
export function requireType(
  owner: string,
  wanted: Kind | { readonly kind: Kind; readonly example: string | undefined },
  options: Readonly<Record<string, unknown>>,
): void {
  const kind = typeof wanted === 'string' ? wanted : wanted.kind
  const example = (typeof wanted === 'string' ? undefined : wanted.example) ?? EXAMPLES[kind]
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || typeof value === kind) continue
    throw new MemcacheOptionError(`${owner}: ${name} must be a ${kind}, ${example}; got ${describeValue(value)}`)
  }
}

/**
 * Checks functions that are called synchronously: the promise of an async function would always count as true.
 *
 * @param example of such a function, for the message.
 * @throws MemcacheOptionError if one of them is not a function, or is async.
 */
export function requireSync(owner: string, options: Readonly<Record<string, unknown>>, example?: string): void {
  requireType(owner, { kind: 'function', example }, options)
  for (const [name, value] of Object.entries(options)) {
    if ((value as { [Symbol.toStringTag]?: unknown } | undefined)?.[Symbol.toStringTag] === 'AsyncFunction') {
      throw new MemcacheOptionError(`${owner}: ${name} must not be async, since its result is used synchronously`)
    }
  }
}

/**
 * Returns the result of a function that is called synchronously.
 *
 * @param name the function in messages: `@Cached: condition`.
 * @throws MemcacheOptionError if the result is a promise, which would always count as true. Its rejection is handled.
 */
export function syncResult<Result>(name: string, result: Result): Result {
  if (typeof result !== 'object' || result === null || !('then' in result)) return result
  if (typeof result.then !== 'function') return result
  Promise.resolve(result).catch(() => {})
  throw new MemcacheOptionError(`${name} must not return a promise, since its result is used synchronously`)
}

/**
 * Checks options.
 *
 * @param example of options that such a caller needs, for the message.
 * @throws MemcacheOptionError if they are not an object, for example a list or a function.
 */
export function requireOptions(owner: string, options: unknown, example?: string): asserts options is object {
  if (isOptionsRecord(options)) return
  const advice = example === undefined ? '' : `: write ${example}`
  throw new MemcacheOptionError(`${owner} takes its options as an object, got ${describeValue(options)}${advice}`)
}

/**
 * Checks the option `cache`.
 *
 * @throws MemcacheOptionError if it is set and not a cache, for example a client or the promise of a cache.
 */
export function requireCache(owner: string, cache: unknown): void {
  if (cache === undefined || isCache(cache)) return
  const { then } = Object(cache) as { then?: unknown }
  throw new MemcacheOptionError(
    `${owner}: cache must be a memcache(), got ${kindOf(cache)}${typeof then === 'function' ? ': await it first' : ''}`,
  )
}

/** Returns whether a value is a cache of any copy of this package. */
export function isCache(value: unknown): boolean {
  const { namespace } = Object(value) as { namespace?: unknown }
  return typeof value === 'object' && typeof namespace === 'function'
}

/**
 * Checks a list.
 *
 * @throws MemcacheOptionError if it is not an array.
 */
export function requireList(owner: string, list: unknown): asserts list is readonly unknown[] {
  if (!Array.isArray(list)) throw new MemcacheOptionError(`${owner} takes an array, got ${describeValue(list)}`)
}

/**
 * Returns a list of names. A text is refused: each of its characters would count as a name.
 *
 * @throws MemcacheOptionError if the value is not a list of strings that are not empty.
 */
export function nameListOption(name: string, value: unknown): readonly string[] {
  const names = isIterable(value) ? [...value] : [undefined]
  if (names.every((item): item is string => typeof item === 'string' && item !== '')) return names
  const advice = typeof value === 'string' && value !== '' ? `: write ['${value}']` : ''
  throw new MemcacheOptionError(
    `${name} must be a list of names, strings that are not empty; got ${describeValue(value)}${advice}`,
  )
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

/** @throws MemcacheOptionError if the option `signal` is given, and is not an AbortSignal. */
export function requireSignal(owner: string, signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  const { aborted, addEventListener } = Object(signal) as Partial<AbortSignal>
  // Of another realm, or another implementation: old polyfills have no `throwIfAborted`.
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return
  throw new MemcacheOptionError(
    `${owner}: signal must be an AbortSignal, got ${describeValue(signal)}: write controller.signal`,
  )
}

/** Returns an option if it is a function. */
export function functionOf(option: unknown): unknown {
  return typeof option === 'function' ? option : undefined
}

/**
 * Checks the option `tags`.
 *
 * @throws MemcacheOptionError if it is neither a list of non-empty strings nor a function.
 */
export function requireTags(owner: string, tags: unknown): void {
  if (tags === undefined || typeof tags === 'function') return
  if (!isTagList(tags)) throw notTags(owner, tags)
}

function isTagList(tags: unknown): tags is readonly string[] {
  return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && tag !== '')
}

function notTags(owner: string, tags: unknown): MemcacheOptionError {
  const list = typeof tags === 'string' ? `: ['${tags}']` : ''
  return new MemcacheOptionError(
    `${owner}: tags must be a list of non-empty strings, or a function that returns such a list${list}; got ${describeValue(tags)}`,
  )
}

/** Describes a value for an error message. It never throws, as `String` does for objects without a prototype. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null'
  if (isList(value)) return 'a list'
  switch (typeof value) {
    case 'string':
      return `'${value}'`
    case 'object':
      return 'an object'
    case 'function':
      return 'a function'
    case 'symbol':
      return 'a symbol'
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      return 'undefined'
  }
}

function isList(value: unknown): boolean {
  try {
    return Array.isArray(value)
  } catch {
    // A revoked proxy.
    return false
  }
}
