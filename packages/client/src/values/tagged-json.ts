/**
 * JSON with tags for what JSON has no word for. A tagged value is `{ "$": [kind, data] }`; an object of the user's that
 * has the one key `$` is itself tagged, as kind `object`, so that nothing can be mistaken.
 */

const TAG = '$'

/** Whether a value comes back from plain JSON as it went in. */
export function isPlainJson(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      if (value === null) return true
      if (Array.isArray(value)) return value.every(isPlainJson) && Object.keys(value).length === value.length
      // A class's instance has always come back as what its JSON says; only objects with a meaning of their own differ.
      if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return false
      return !isTaggedKind(value) && !hasOnlyTag(value) && Object.values(value).every(isPlainJson)
    default:
      return false
  }
}

export function encodeTaggedJson(value: unknown): string {
  return JSON.stringify(encode(value))
}

/** @throws SyntaxError for what `encodeTaggedJson` did not write. */
export function decodeTaggedJson(text: string): unknown {
  return decode(JSON.parse(text))
}

const TYPED_ARRAYS = {
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
} as const

function isTaggedKind(value: object): boolean {
  return value instanceof Date || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)
}

function hasOnlyTag(value: object): boolean {
  return TAG in value && Object.keys(value).length === 1
}

function tagged(kind: string, data?: unknown): unknown {
  return { [TAG]: data === undefined ? [kind] : [kind, data] }
}

function encode(value: unknown): unknown {
  switch (typeof value) {
    case 'undefined':
      return tagged('undefined')
    case 'bigint':
      return tagged('bigint', String(value))
    case 'number':
      if (Number.isFinite(value) && !Object.is(value, -0)) return value
      return tagged('number', Object.is(value, -0) ? '-0' : String(value))
    case 'object':
      return value === null ? null : encodeObject(value)
    case 'function':
    case 'symbol':
      throw new TypeError(`a ${typeof value} cannot be stored: store data`)
    default:
      return value
  }
}

function encodeObject(value: object): unknown {
  if (Array.isArray(value)) return Array.from(value, encode)
  if (value instanceof Date) return tagged('date', Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString())
  if (value instanceof Map)
    return tagged(
      'map',
      [...value].map(([key, item]) => [encode(key), encode(item)]),
    )
  if (value instanceof Set) return tagged('set', [...value].map(encode))
  if (Buffer.isBuffer(value)) return tagged('buffer', value.toString('base64'))
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
    return tagged(value.constructor.name, bytes)
  }
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') return encode(toJSON.call(value))
  const encoded = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]))
  return hasOnlyTag(value) ? tagged('object', encoded) : encoded
}

function decode(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(decode)
  if (!hasOnlyTag(value)) return decodeEntries(value)
  const [kind, data] = (value as Record<string, [string, never]>)[TAG]!
  return decodeTagged(kind, data)
}

function decodeEntries(value: object): unknown {
  // defineProperty semantics: a key `__proto__` stays data.
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]))
}

function decodeTagged(kind: string, data: unknown): unknown {
  switch (kind) {
    case 'undefined':
      return undefined
    case 'bigint':
      return BigInt(data as string)
    case 'number':
      return Number(data)
    case 'date':
      return new Date(data === 'invalid' ? NaN : (data as string))
    case 'map':
      return new Map((data as [unknown, unknown][]).map(([key, item]) => [decode(key), decode(item)]))
    case 'set':
      return new Set((data as unknown[]).map(decode))
    case 'buffer':
      return Buffer.from(data as string, 'base64')
    case 'object':
      return decodeEntries(data as object)
    default:
      return decodeTypedArray(kind, data as string)
  }
}

function decodeTypedArray(kind: string, data: string): unknown {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'))
  if (kind === 'DataView') return new DataView(bytes.buffer)
  if (!Object.hasOwn(TYPED_ARRAYS, kind)) throw new SyntaxError(`no value is tagged '${kind}'`)
  return new TYPED_ARRAYS[kind as keyof typeof TYPED_ARRAYS](bytes.buffer)
}
