/** The maximum depth for the fast check; deeper values are encoded by the slower code, which detects circles. */
const PLAIN_DEPTH = 64
/** The maximum depth of a value that is stored or read: deeper values would exhaust the stack of recursive code. */
export const MAX_DEPTH = 1000
/** The key that marks an object of tagged JSON as a value of another kind. */
export const TAG = '$'

const { getOwnPropertySymbols, getPrototypeOf, hasOwn, keys, prototype, values } = Object

/** Returns whether a value is the same after encoding to plain JSON and back. An instance of a class becomes its data. */
export function isPlainJson(value: unknown, depth = PLAIN_DEPTH): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      return value === null || (depth > 0 && isPlainObject(value, depth - 1))
    default:
      return false
  }
}

function isPlainObject(value: object, depth: number): boolean {
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return false
  if (Array.isArray(value)) {
    // JSON cannot express holes, or properties besides the items.
    if (keys(value).length !== value.length || getOwnPropertySymbols(value).length > 0) return false
    for (let index = 0; index < value.length; index++) if (!isPlainJson(value[index], depth)) return false
    return true
  }
  if (getPrototypeOf(value) !== prototype && !isInstanceOfAClass(value)) return false
  if (getOwnPropertySymbols(value).length > 0) return false
  const items: unknown[] = values(value)
  if (items.length === 1 && hasOwn(value, TAG)) return false
  for (let index = 0; index < items.length; index++) if (!isPlainJson(items[index], depth)) return false
  return true
}

/**
 * Returns whether an object is an instance of a class whose data is in its properties. Built-in kinds keep their data
 * elsewhere, and have their own tags.
 */
export function isInstanceOfAClass(value: object): boolean {
  return getPrototypeOf(value) !== null && tagOf(value) === 'Object'
}

/** Returns the kind of an object from any realm by its tag, such as `Map`, `Error`, `Promise` or `Object`. */
export function tagOf(value: object): string {
  return prototype.toString.call(value).slice('[object '.length, -1)
}

/** Returns whether a decoded value is nested at most `depth` levels deep. */
export function isWithinDepth(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  if (Array.isArray(value)) {
    for (const item of value) if (!isWithinDepth(item, depth - 1)) return false
    return true
  }
  for (const name in value) {
    // Something may have added properties to `Object.prototype`.
    if (!prototype.hasOwnProperty.call(value, name)) continue
    if (!isWithinDepth((value as Record<string, unknown>)[name], depth - 1)) return false
  }
  return true
}

/** The maximum number of digits of a bigint, since parsing digits takes more than linear time. */
export const MAX_BIGINT_DIGITS = 10_000

/** The built-in error types, by name. */
export const ERROR_TYPES = {
  Error,
  AggregateError,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
} as const

/** The properties of errors that are not enumerable. */
export const HIDDEN_IN_ERRORS = ['name', 'message', 'stack', 'cause', 'errors'] as const

type TypedArrayConstructor = new (bytes: ArrayBuffer) => NodeJS.TypedArray

const { Float16Array } = globalThis as { Float16Array?: TypedArrayConstructor }

/** The typed arrays that this version of Node has, by name. */
export const TYPED_ARRAYS: ReadonlyMap<string, TypedArrayConstructor> = new Map(
  [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    ...(Float16Array === undefined ? [] : [Float16Array]),
  ].map((type) => [type.name, type]),
)
