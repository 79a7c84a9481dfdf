import { types } from 'node:util'

/** Called with each class whose instance was converted to plain data. */
export type OnClass = (constructor: Function) => void

/** The maximum depth of conversion; deeper values are left unchanged, and reported when they are stored. */
const MAX_DEPTH = 200

/**
 * Returns the value as it would come back from memcached, so that the caller that loads it gets what later callers get:
 * instances of classes become plain objects with their own enumerable properties, or the result of their `toJSON`. A
 * value without instances is returned unchanged, and so is a value that cannot be stored (circular, or with functions
 * in it).
 *
 * @param onClass called for each instance, in the order in which they are found.
 */
export function toPlainData(value: unknown, onClass: OnClass): unknown {
  if (typeof value !== 'object' || value === null) return value
  const found: Function[] = []
  let plain: unknown
  try {
    if (isPlain(value, 0)) return value
    plain = convert(value, 0, (constructor) => found.push(constructor))
  } catch {
    return value
  }
  for (const constructor of found) onClass(constructor)
  return plain
}

/** Returns the classes of all instances in a value, except the kinds that memcached brings back. */
export function classesIn(value: unknown): Set<Function> {
  const classes = new Set<Function>()
  forEachInstance(value, (constructor) => void classes.add(constructor))
  return classes
}

/** Calls a function with the class of each instance in a value. */
export function forEachInstance(value: unknown, onInstance: OnClass): void {
  try {
    collect(value, 0, onInstance)
  } catch {
    // The value is too deep, or a property throws; such a value is not stored.
  }
}

class TooDeepError extends Error {}
class OpaqueError extends Error {}

function isPlain(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth > MAX_DEPTH) throw new TooDeepError()
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) return false
    for (const item of value) if (typeof item === 'object' && item !== null && !isPlain(item, depth + 1)) return false
    return true
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) {
    const record = value as Record<string, unknown>
    if (typeof record['toJSON'] === 'function') return false
    for (const key in record) {
      // Something may have added properties to `Object.prototype`.
      if (!Object.prototype.hasOwnProperty.call(record, key)) continue
      const item = record[key]
      if (typeof item === 'object' && item !== null && !isPlain(item, depth + 1)) return false
    }
    return true
  }
  if (prototype === Map.prototype) {
    for (const [key, item] of value as Map<unknown, unknown>) {
      if (!isPlain(key, depth + 1) || !isPlain(item, depth + 1)) return false
    }
    return true
  }
  if (prototype === Set.prototype) {
    for (const item of value as Set<unknown>) if (!isPlain(item, depth + 1)) return false
    return true
  }
  return isStoredAsIs(value) && subclassOf(value) === undefined
}

/** Returns whether a kind of object has its own stored form (docs/format.md). */
function isStoredAsIs(value: object): boolean {
  if (ArrayBuffer.isView(value) || types.isDate(value) || types.isRegExp(value) || types.isAnyArrayBuffer(value))
    return true
  return types.isNativeError(value) || value instanceof Error || value instanceof URL
}

/** Returns whether the content of a class's instances is not in their properties, as with `Headers` and promises. */
function isOpaque(constructor: Function): boolean {
  return Function.prototype.toString.call(constructor).includes('[native code]') || isOpaqueOfNode(constructor)
}

/**
 * Returns whether the content of an object is not in its properties, also if the object is of a subclass: as plain data
 * it would be empty.
 */
function hidesContent(value: object): boolean {
  if (types.isPromise(value) || types.isGeneratorObject(value) || types.isKeyObject(value)) return true
  for (let at: unknown = Object.getPrototypeOf(value); at !== null; at = Object.getPrototypeOf(at)) {
    const { constructor } = at as { constructor?: unknown }
    if (typeof constructor === 'function' && constructor.name !== 'Object' && isOpaque(constructor)) return true
  }
  return false
}

/**
 * Classes of Node that are written in JavaScript and keep their content in private fields. They are compared by name
 * first, since Node loads its `fetch` when one of them is first accessed.
 */
const OPAQUE_OF_NODE = new Set([
  'AbortController',
  'AbortSignal',
  'Blob',
  'CompressionStream',
  'DecompressionStream',
  'EventTarget',
  'FormData',
  'Headers',
  'ReadableStream',
  'Request',
  'Response',
  'TextDecoder',
  'TextEncoder',
  'TransformStream',
  'URLSearchParams',
  'WebSocket',
  'WritableStream',
])

function isOpaqueOfNode(constructor: Function): boolean {
  const { name } = constructor
  return OPAQUE_OF_NODE.has(name) && (globalThis as Record<string, unknown>)[name] === constructor
}

function convert(value: unknown, depth: number, onClass: OnClass): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > MAX_DEPTH) throw new TooDeepError()
  const subclass = subclassOf(value)
  if (subclass !== undefined) onClass(subclass)
  if (Array.isArray(value)) return Array.from(value, (item) => convert(item, depth + 1, onClass))
  if (value instanceof Map) {
    return new Map(
      [...value].map(([key, item]) => [convert(key, depth + 1, onClass), convert(item, depth + 1, onClass)]),
    )
  }
  if (value instanceof Set) return new Set([...value].map((item) => convert(item, depth + 1, onClass)))
  if (isStoredAsIs(value)) return value
  const constructor = classOf(value)
  if (constructor !== undefined) onClass(constructor)
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') return convert(toJSON.call(value), depth + 1, onClass)
  if ((constructor !== undefined && isOpaque(constructor)) || hidesContent(value)) throw new OpaqueError()
  // Object.fromEntries defines properties, so that a key `__proto__` stays data.
  const plain = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, convert(item, depth + 1, onClass)]))
  return Object.getPrototypeOf(value) === null ? (Object.setPrototypeOf(plain, null) as object) : plain
}

function collect(value: unknown, depth: number, onInstance: OnClass): void {
  if (typeof value !== 'object' || value === null) return
  if (depth > MAX_DEPTH) throw new TooDeepError()
  if (value instanceof Map) {
    for (const [key, item] of value) {
      collect(key, depth + 1, onInstance)
      collect(item, depth + 1, onInstance)
    }
    return
  }
  if (Array.isArray(value) || value instanceof Set) {
    for (const item of value) collect(item, depth + 1, onInstance)
    return
  }
  if (isStoredAsIs(value)) return
  const constructor = classOf(value)
  if (constructor !== undefined) onInstance(constructor)
  for (const item of Object.values(value)) collect(item, depth + 1, onInstance)
}

const BUILT_IN_PROTOTYPES = new Set<unknown>(
  [Object, Array, Map, Set, Date, RegExp, URL, Buffer, ArrayBuffer, DataView, Uint8Array, Float64Array].map(
    ({ prototype }) => prototype as unknown,
  ),
)

/**
 * Returns the class of an array, a Map, a Date and the like if the class is not the language's own: such a value comes
 * back as the language's. Errors keep their names, and are not counted among them.
 */
function subclassOf(value: object): Function | undefined {
  if (BUILT_IN_PROTOTYPES.has(Object.getPrototypeOf(value)) || !isBuiltInKind(value)) return undefined
  const { constructor } = value
  return typeof constructor === 'function' && !isOpaque(constructor) ? constructor : undefined
}

function isBuiltInKind(value: object): boolean {
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) return true
  return isStoredAsIs(value) && !types.isNativeError(value) && !(value instanceof Error) && !Buffer.isBuffer(value)
}

/** Returns the class of an instance; `undefined` for plain objects. */
function classOf(value: object): Function | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return undefined
  const { constructor } = value as { constructor?: unknown }
  if (typeof constructor !== 'function') return undefined
  // Plain objects of another realm, such as a jest or vm context.
  const isRoot = Object.getPrototypeOf(prototype) === null && constructor.name === 'Object'
  return isRoot ? undefined : constructor
}
