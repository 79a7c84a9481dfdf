import { typedCodec } from 'memcache-ts-client'

const codec = typedCodec()

/**
 * Returns a copy of a value as it would come back from memcached, so that a caller that changes it does not change
 * another caller's.
 *
 * @throws TypeError for functions and symbols, RangeError for circular values.
 */
export function copyValue<Value>(value: Value): Value {
  switch (typeof value) {
    case 'object':
      return (value === null ? value : copyObject(value)) as Value
    case 'function':
    case 'symbol':
      throw new TypeError(`a ${typeof value} cannot be copied`)
    default:
      return value
  }
}

function copyObject(value: object): unknown {
  if (Array.isArray(value)) {
    const copy: unknown[] = Array.from({ length: value.length })
    for (let index = 0; index < value.length; index++) copy[index] = copyValue(value[index] as unknown)
    return copy
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return copyPlain(value as Record<string, unknown>, {})
  if (prototype === null) return copyPlain(value as Record<string, unknown>, Object.create(null) as object)
  if (value instanceof Date) return new Date(value)
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [copyValue(key), copyValue(item)]))
  if (value instanceof Set) return new Set([...value].map((item) => copyValue(item)))
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (value instanceof DataView) return new DataView(copyBytes(value))
  if (ArrayBuffer.isView(value)) return copyTypedArray(value as Uint8Array)
  // Errors, RegExps, URLs and the like are rare, so the codec copies them.
  const { bytes, clientFlags } = codec.encode(value)
  return codec.decode(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, clientFlags)
}

function copyPlain(value: Record<string, unknown>, into: object): Record<string, unknown> {
  const copy = into as Record<string, unknown>
  for (const key in value) {
    // Something may have added properties to `Object.prototype`.
    if (!Object.prototype.hasOwnProperty.call(value, key)) continue
    const item = value[key]
    if (key === '__proto__')
      Object.defineProperty(copy, key, { value: copyValue(item), enumerable: true, writable: true, configurable: true })
    else copy[key] = typeof item === 'string' || typeof item === 'number' ? item : copyValue(item)
  }
  return copy
}

/**
 * Copies a typed array as memcached would return it: an instance of a subclass becomes an instance of the built-in
 * class.
 */
function copyTypedArray(value: Uint8Array): Uint8Array {
  const TypedArray = (globalThis as unknown as Record<string, typeof Uint8Array>)[value[Symbol.toStringTag]]!
  return new TypedArray(value)
}

/**
 * Returns whether a copy has everything that the value has. If not, the codec refuses the value too: an array with
 * holes or with properties other than its items, a Map, Set or Date with properties, an object with symbols as keys.
 */
export function isCopiedWhole(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) {
    const keys = Object.keys(value)
    // Indices come first, in order.
    const isDense = keys.length === value.length && (keys.length === 0 || keys.at(-1) === String(value.length - 1))
    return isDense && !hasSymbols(value) && value.every(isCopiedWhole)
  }
  if (value instanceof Date || value instanceof Map || value instanceof Set) {
    if (Object.keys(value).length > 0 || hasSymbols(value)) return false
  }
  if (value instanceof Map) return [...value].every(([key, item]) => isCopiedWhole(key) && isCopiedWhole(item))
  if (value instanceof Set) return [...value].every(isCopiedWhole)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return true
  return (
    !hasSymbols(value) &&
    Object.prototype.toString.call(value) === '[object Object]' &&
    Object.values(value).every(isCopiedWhole)
  )
}

function hasSymbols(value: object): boolean {
  return Object.getOwnPropertySymbols(value).some((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol))
}

function copyBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): ArrayBufferLike {
  return buffer.slice(byteOffset, byteOffset + byteLength)
}

/** Freezes plain objects and arrays recursively, and returns the value. */
export function freezeValue<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  for (const item of Object.values(value)) freezeValue(item)
  return Object.freeze(value)
}

/** Returns whether freezing protects a value from changes: it holds only plain data. */
export function canFreeze(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return false
  return Object.values(value).every((item) => canFreeze(item))
}
