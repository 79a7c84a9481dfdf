/**
 * A copy of a value of the kinds that a cache can hold, so that who changes it changes no one else's; what is of no such
 * kind is itself.
 */
export function copyValue<Value>(value: Value): Value {
  return (typeof value === 'object' && value !== null ? copyObject(value) : value) as Value
}

function copyObject(value: object): unknown {
  if (Array.isArray(value)) {
    const copy: unknown[] = Array.from({ length: value.length })
    for (let index = 0; index < value.length; index++) copy[index] = copyValue(value[index] as unknown)
    return copy
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return copyPlain(value as Record<string, unknown>)
  if (value instanceof Date) return new Date(value)
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [copyValue(key), copyValue(item)]))
  if (value instanceof Set) return new Set([...value].map((item) => copyValue(item)))
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (value instanceof DataView) return new DataView(copyBytes(value))
  if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice()
  return value
}

function copyPlain(value: Record<string, unknown>): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const key in value) {
    const item = value[key]
    if (key === '__proto__')
      Object.defineProperty(copy, key, { value: copyValue(item), enumerable: true, writable: true, configurable: true })
    else copy[key] = typeof item === 'object' && item !== null ? copyObject(item) : item
  }
  return copy
}

function copyBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): ArrayBufferLike {
  return buffer.slice(byteOffset, byteOffset + byteLength)
}

/** Freezes plain objects and arrays, all the way down; returns the value. */
export function freezeValue<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  for (const item of Object.values(value)) freezeValue(item)
  return Object.freeze(value)
}

/** Whether freezing keeps a value from being changed: plain data through and through. */
export function canFreeze(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return false
  return Object.values(value).every((item) => canFreeze(item))
}
