import { createHash } from 'node:crypto'
import { isDeepStrictEqual, types } from 'node:util'
import { isKeyPart, KeyTag, kindOf, MemcacheError, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart } from 'memcache-ts-protocol'
import { EncodedArgument } from '../engine/cache-key.ts'

/** The number of characters of an argument's hash: 132 bits. */
const HASH_LENGTH = 22
const MAX_DEPTH = 200

/**
 * Returns the arguments of a cached function as parts of a key: strings, numbers, bigints and booleans unchanged,
 * everything else as a tag with a hash of its content. Equal content gives equal parts, in any order in which the keys
 * of objects, Maps and Sets were added; different content gives different parts.
 *
 * @param owner the function or method, for error messages.
 * @param self the instance, if it is a method.
 * @throws MemcacheOptionError if an argument's content cannot be read completely: a function, a symbol, a stream, an
 *   instance of a class that may hide state, a circular value.
 */
export function argumentParts(args: readonly unknown[], owner: string, self?: object): readonly KeyPart[] {
  const parts = args.map((argument, index): KeyPart | EncodedArgument => {
    if (isKeyPart(argument)) return argument
    if (argument === undefined || argument === null) return new EncodedArgument(`${KeyTag.literal}${argument}`)
    const whole = self === undefined ? owner : `${(Object.getPrototypeOf(self) as object).constructor.name}.${owner}`
    return new EncodedArgument(`${KeyTag.content}${hashOf(argument, `argument ${index + 1} of ${whole}`)}`)
  })
  // The type hides `EncodedArgument`, since only `keyText` reads it.
  return parts as readonly KeyPart[]
}

function hashOf(value: unknown, described: string): string {
  const hash = createHash('sha256')
  try {
    new ContentWriter((part) => void hash.update(part), described).write(value, '', 0)
  } catch (cause) {
    // Reading a value may run code of the application: getters, a proxy's traps.
    if (cause instanceof MemcacheError) throw cause
    throw new MemcacheOptionError(
      `${described} cannot be read: set \`key\`, a function that returns the parts of the key for the arguments`,
      { cause },
    )
  }
  return hash.digest('base64url').slice(0, HASH_LENGTH)
}

/** An object whose properties are written, with the tag of its kind and the name of its class. */
interface ObjectContent {
  readonly tag: string
  readonly name: string
  readonly value: object
}

/**
 * Writes values into a hash so that two values write the same bytes only if their content is equal: each begins with a
 * tag of its kind, and its length precedes its content.
 */
class ContentWriter {
  readonly #put: (part: string | Uint8Array) => void
  readonly #described: string
  readonly #within: Set<object>

  constructor(put: (part: string | Uint8Array) => void, described: string, within: Iterable<object> = []) {
    this.#put = put
    this.#described = described
    this.#within = new Set(within)
  }

  write(value: unknown, path: string, depth: number): void {
    switch (typeof value) {
      case 'string':
        if (!value.isWellFormed()) throw this.#error(path, 'is a string with half of a surrogate pair')
        return this.#text('s', value)
      case 'number':
        // -0 is written as 0, as everywhere in keys.
        return this.#text('n', String(value))
      case 'bigint':
        return this.#text('i', String(value))
      case 'boolean':
        return this.#text('b', String(value))
      case 'undefined':
        return this.#text('u', '')
      case 'object':
        return value === null ? this.#text('z', '') : this.#object(value, path, depth)
      default:
        throw this.#error(path, `is ${kindOf(value)}`)
    }
  }

  #object(value: object, path: string, depth: number): void {
    if (this.#within.has(value)) throw this.#error(path, 'is circular')
    if (depth > MAX_DEPTH) throw this.#error(path, `is nested more than ${MAX_DEPTH} levels deep`)
    this.#within.add(value)
    this.#content(value, path, depth)
    this.#within.delete(value)
  }

  #content(value: object, path: string, depth: number): void {
    if (isByContent(value)) {
      if (isDecorated(value)) throw this.#error(path, `is ${kindOf(value)} with additional properties or state`)
      if (isOfSubclass(value)) this.#text('k', value.constructor.name)
    }
    if (Array.isArray(value)) return this.#array(value, path, depth)
    if (types.isDate(value)) return this.#text('d', String(value.getTime()))
    if (types.isRegExp(value)) {
      if (!value.source.isWellFormed()) throw this.#error(path, 'is a pattern with half of a surrogate pair')
      return this.#text('r', `${value.flags}${value.lastIndex || ''}/${value.source}`)
    }
    if (types.isMap(value)) {
      const pairs = [...value].map(([key, item], index) => [key, item, `${path}[${index}]`] as const)
      return this.#unordered('m', pairs, depth)
    }
    if (types.isSet(value)) {
      return this.#unordered(
        'S',
        [...value].map((item, index) => [item, undefined, `${path}[${index}]`] as const),
        depth,
      )
    }
    if (ArrayBuffer.isView(value)) return this.#bytes(tagOf(value), value)
    if (types.isAnyArrayBuffer(value)) return this.#bytes('ArrayBuffer', new Uint8Array(value))
    if (value instanceof URL) return this.#text('U', value.href)
    if (value instanceof URLSearchParams) return this.#text('P', value.toString())
    const plain = isPlain(value)
    const hidden = plain ? hiddenProperties(value) : hiddenState(value)
    if (hidden !== undefined) throw this.#error(path, `is ${kindOf(value)}${hidden}`)
    this.#record({ tag: plain ? 'o' : 'c', name: plain ? '' : value.constructor.name, value }, path, depth)
  }

  #array(value: readonly unknown[], path: string, depth: number): void {
    this.#text('a', String(value.length))
    let next = 0
    for (; next in value; next++) this.write(value[next], `${path}[${next}]`, depth + 1)
    if (next === value.length) return
    // Holes are counted, not visited: an array may be longer than it can be read.
    for (const index of Object.keys(value).slice(next).map(Number)) {
      if (index > next) this.#text('h', String(index - next))
      this.write(value[index], `${path}[${index}]`, depth + 1)
      next = index + 1
    }
    if (next < value.length) this.#text('h', String(value.length - next))
  }

  #record({ tag, name, value }: ObjectContent, path: string, depth: number): void {
    if (Object.getOwnPropertySymbols(value).length > 0) throw this.#error(path, 'has a symbol as a key')
    const keys = Object.keys(value).toSorted()
    this.#text(tag, name)
    this.#text('l', String(keys.length))
    for (const key of keys) {
      this.write(key, path, depth)
      this.write((value as Record<string, unknown>)[key], path === '' ? key : `${path}.${key}`, depth + 1)
    }
  }

  /** Writes items whose order does not matter, sorted by their bytes. */
  #unordered(tag: string, items: readonly (readonly [unknown, unknown, string])[], depth: number): void {
    const written = items.map(([key, item, path]) => {
      const parts: Buffer[] = []
      // A copy of bytes: a value may change while it is read.
      const put = (part: string | Uint8Array): void => void parts.push(Buffer.from(part as Uint8Array))
      const writer = new ContentWriter(put, this.#described, this.#within)
      writer.write(key, path, depth + 1)
      writer.write(item, path, depth + 1)
      return Buffer.concat(parts)
    })
    this.#text(tag, String(items.length))
    for (const bytes of written.toSorted((one, other) => Buffer.compare(one, other))) this.#bytes('item', bytes)
  }

  #text(tag: string, text: string): void {
    this.#put(`${tag}${text.length}:${text}`)
  }

  #bytes(tag: string, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
    this.#text('B', tag)
    this.#put(`${byteLength}:`)
    this.#put(new Uint8Array(buffer, byteOffset, byteLength))
  }

  #error(path: string, problem: string): MemcacheOptionError {
    const where = path === '' ? this.#described : `${this.#described}, at ${path},`
    return new MemcacheOptionError(
      `${where} ${problem}: set \`key\`, a function that returns the parts of the key for the arguments`,
    )
  }
}

/** Returns `Uint8Array`, `Buffer`, `DataView` …, also for another realm's views. */
function tagOf(view: ArrayBufferView): string {
  return Buffer.isBuffer(view) ? 'Buffer' : Object.prototype.toString.call(view).slice(8, -1)
}

/** Returns whether a value is of a built-in kind that is written by its content alone. */
function isByContent(value: object): boolean {
  return (
    Array.isArray(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    value instanceof URL ||
    value instanceof URLSearchParams
  )
}

/** Returns whether the class of a value of a built-in kind was written in JavaScript; `Buffer` is one of the kinds. */
function isOfSubclass(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return !BUILT_IN.has(prototype) && !isNative(prototype?.constructor)
}

/** The prototypes of the kinds in this realm; Node itself has written the last three in JavaScript. */
const BUILT_IN: ReadonlySet<object | null> = new Set<object>([
  Array.prototype,
  Date.prototype,
  RegExp.prototype,
  Map.prototype,
  Set.prototype,
  Uint8Array.prototype,
  ArrayBuffer.prototype,
  Buffer.prototype,
  URL.prototype,
  URLSearchParams.prototype,
])

/** The numbers of symbols that Node itself sets on values of these kinds. */
const URL_SYMBOLS = Object.getOwnPropertySymbols(new URL('http://localhost')).length
const PARAMETERS_SYMBOLS = Object.getOwnPropertySymbols(new URLSearchParams()).length

/** Returns whether a value of a built-in kind has more than its content: properties, or state that a subclass may hide. */
function isDecorated(value: object): boolean {
  if (
    isOfSubclass(value) &&
    (ArrayBuffer.isView(value) || hidesStateIn(Object.getPrototypeOf(value) as object | null))
  ) {
    return true
  }
  if (Object.getOwnPropertySymbols(value).length > symbolsOf(value)) return true
  if (ArrayBuffer.isView(value)) return !isDeepStrictEqual(value, pristine(value))
  const names = Object.getOwnPropertyNames(value).length
  if (types.isRegExp(value)) return names > 1
  if (!Array.isArray(value)) return names > 0
  const shown = Object.keys(value)
  // Indices come first, in order; `length` is not enumerable.
  const last = shown.at(-1)
  return (
    names !== shown.length + 1 ||
    (last !== undefined && !(/^(?:0|[1-9]\d*)$/.test(last) && Number(last) < value.length))
  )
}

function symbolsOf(value: object): number {
  if (value instanceof URL) return URL_SYMBOLS
  return value instanceof URLSearchParams ? PARAMETERS_SYMBOLS : 0
}

/** Returns a view of the same bytes without further properties, for a comparison: listing all indices takes long. */
function pristine(view: ArrayBufferView): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = view
  if (Buffer.isBuffer(view)) return Buffer.from(buffer, byteOffset, byteLength)
  const Class = view.constructor as new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayBufferView
  const length = 'length' in view ? (view.length as number) : byteLength
  return new Class(buffer, byteOffset, length)
}

/** Returns whether an object is not an instance of a class: a literal of any realm, or an object without a prototype. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null || isObjectPrototype(prototype)
}

/** Returns whether a prototype is `Object.prototype`, of any realm. */
function isObjectPrototype(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

function isNative(Class: unknown): boolean {
  return typeof Class === 'function' && Function.prototype.toString.call(Class).includes('[native code]')
}

/** Returns whether a class between a value and its built-in kind may hide state. */
function hidesStateIn(first: object | null): boolean {
  for (let prototype = first; prototype !== null; prototype = Object.getPrototypeOf(prototype) as object | null) {
    const Class = (prototype as { constructor?: unknown }).constructor
    if (BUILT_IN.has(prototype) || isNative(Class)) return false
    if (typeof Class !== 'function' || hidesState(Class)) return true
  }
  return false
}

/** The classes that may hide state, by their source, which is checked once per class. */
const HIDING = new WeakMap<Function, boolean>()
/**
 * Private members in JavaScript, and as TypeScript, Babel, SWC and esbuild emit them for older targets; and writes of a
 * class about its instances into a map outside of it.
 */
const PRIVATE_STATE =
  /#[\p{ID_Start}_$]|\bWeak(?:Map|Set)\b|_classPrivate|_class_private|__private[A-Z]|\.(?:set|add)\(\s*this\s*[,)]/u

/**
 * Returns why the properties of an instance may not be its whole state; `undefined` for data classes, whose state is in
 * their own properties.
 */
function hiddenState(value: object): string | undefined {
  const properties = hiddenProperties(value)
  if (properties !== undefined) return properties
  let hasMembers = false
  for (let prototype = Object.getPrototypeOf(value) as object | null; prototype !== null;) {
    const above = Object.getPrototypeOf(prototype) as object | null
    if (above === null) {
      if (!isObjectPrototype(prototype)) return ''
      break
    }
    const Class = (prototype as { constructor?: unknown }).constructor
    if (typeof Class !== 'function' || hidesState(Class)) return ''
    hasMembers ||= Object.getOwnPropertyNames(prototype).length > 1
    prototype = above
  }
  return hasMembers && Object.keys(value).length === 0 ? ', which has no readable properties' : undefined
}

function hiddenProperties(value: object): string | undefined {
  const isEveryShown = Object.getOwnPropertyNames(value).length === Object.keys(value).length
  return isEveryShown ? undefined : ', which has properties that are not enumerable'
}

function hidesState(Class: Function): boolean {
  let hides = HIDING.get(Class)
  if (hides === undefined) {
    const source = Function.prototype.toString.call(Class)
    hides = source.includes('[native code]') || PRIVATE_STATE.test(source)
    HIDING.set(Class, hides)
  }
  return hides
}
