import { types } from 'node:util'
import { kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import {
  ERROR_TYPES,
  HIDDEN_IN_ERRORS,
  isInstanceOfAClass,
  MAX_BIGINT_DIGITS,
  MAX_DEPTH,
  TAG,
  tagOf,
  TYPED_ARRAYS,
} from './json-kinds.ts'

const HEX_DIGITS_PER_DIGIT = Math.log(10) / Math.log(16)
/** The maximum number of steps of a path in an error message. */
const MAX_PATH_STEPS = 10

/** The prototype of all typed arrays. */
const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype) as object

/**
 * The getters of built-in kinds. They read an object's own data: a subclass may have other getters by the same names,
 * and comes back as its base class, which has the data only.
 */
const typedArrayName = getterOf<string | undefined>(TYPED_ARRAY, Symbol.toStringTag)
const PLACE_OF_TYPED_ARRAY = placeGetters(TYPED_ARRAY)
const PLACE_OF_DATA_VIEW = placeGetters(DataView.prototype)
const hrefOf = getterOf<string>(URL.prototype, 'href')

/**
 * JSON with tags for values that JSON cannot express (docs/format.md). A tagged value is `{ "$": [kind, data] }`; a
 * user's object whose only key is `$` is tagged as kind `object`, so that it cannot be confused with a tag.
 */
export interface TaggedJson {
  readonly text: string
  /** Whether the JSON contains tags; false if the value is plain JSON. */
  readonly isTagged: boolean
}

/** @throws MemcacheOptionError if a value would not be decoded unchanged; the message names it and its path. */
export function encodeTaggedJson(value: unknown): TaggedJson {
  const encoder = new Encoder()
  const encoded = encoder.encode(value)
  return { text: JSON.stringify(encoded), isTagged: encoder.isTagged }
}

/** Values are nested up to 1000 deep: loops in place of functions for each item keep the stack short. */
class Encoder {
  isTagged = false
  /** The objects that contain the current one. */
  readonly #around = new Set<object>()
  /** The path of the current object. */
  readonly #path: (string | number)[] = []

  encode(value: unknown): unknown {
    switch (typeof value) {
      case 'undefined':
        return this.#tagged('undefined')
      case 'bigint':
        return this.#bigint(value)
      case 'number':
        if (Number.isFinite(value) && !Object.is(value, -0)) return value
        return this.#tagged('number', Object.is(value, -0) ? '-0' : String(value))
      case 'object':
        return value === null ? null : this.#nested(value)
      case 'function':
      case 'symbol':
        throw this.#refusal(kindOf(value))
      default:
        return value
    }
  }

  #nested(value: object): unknown {
    if (this.#around.has(value)) throw this.#refusal('a circular reference')
    if (this.#around.size >= MAX_DEPTH) throw this.#refusal(`nested more than ${MAX_DEPTH} deep`)
    this.#around.add(value)
    const encoded = this.#builtIn(value) ?? this.#fromJson(value)
    this.#around.delete(value)
    return encoded
  }

  #fromJson(value: object): unknown {
    const json = this.#jsonOf(value)
    if (json !== value) return this.encode(json)
    return Array.isArray(value) ? this.#array(value) : this.#object(value)
  }

  /** Returns the result of an object's `toJSON`, which gets its key as from `JSON.stringify`; without it, the object. */
  #jsonOf(value: object): unknown {
    const { toJSON } = value as { toJSON?: unknown }
    return typeof toJSON === 'function' ? toJSON.call(value, String(this.#path.at(-1) ?? '')) : value
  }

  #array(value: readonly unknown[]): unknown {
    const keys = Object.keys(value)
    // Indices come first, in order.
    const isWhole = keys.length === value.length && (keys.length === 0 || keys.at(-1) === String(value.length - 1))
    if (!isWhole || hasSymbols(value)) {
      throw this.#refusal('an array with holes, or with properties besides its items')
    }
    const encoded: unknown[] = []
    for (let index = 0; index < value.length; index++) encoded.push(this.#at(index, value[index]))
    return encoded
  }

  #object(value: object): unknown {
    if (Object.getPrototypeOf(value) === null && tagOf(value) === 'Object') {
      return this.#tagged('null-prototype', this.#properties(value))
    }
    if (!isInstanceOfAClass(value)) throw this.#refusal(named(value))
    const keys = Object.keys(value)
    const properties = this.#properties(value)
    return keys.length === 1 && keys[0] === TAG ? this.#tagged('object', properties) : properties
  }

  /** Encodes an object of a built-in kind, from any realm; returns `undefined` for other objects. */
  #builtIn(value: object): unknown {
    if (types.isDate(value)) {
      const date = new Date(Date.prototype.getTime.call(value))
      return this.#whole('date', value, Number.isNaN(date.getTime()) ? 'invalid' : date.toISOString())
    }
    if (types.isMap(value)) return this.#map(value)
    if (types.isSet(value)) return this.#set(value)
    if (ArrayBuffer.isView(value)) return this.#view(value)
    if (types.isArrayBuffer(value)) return this.#arrayBuffer(value)
    if (types.isRegExp(value)) return this.#regExp(value)
    if (types.isNativeError(value) && tagOf(value) === 'Error') return this.#error(value)
    if (value instanceof URL) return this.#whole('url', value, hrefOf(value))
    if (value instanceof URLSearchParams)
      return this.#whole('url-search-params', value, URLSearchParams.prototype.toString.call(value))
    return undefined
  }

  #map(value: ReadonlyMap<unknown, unknown>): unknown {
    const pairs: [unknown, unknown][] = []
    // Copied, since code of the application, such as `toJSON`, may add to it meanwhile.
    const entries = [...Map.prototype.entries.call(value)]
    for (const [key, item] of entries) {
      pairs.push([this.#at('key', key), this.#at('value', item)])
    }
    return this.#whole('map', value, pairs)
  }

  #set(value: ReadonlySet<unknown>): unknown {
    const items: unknown[] = []
    const found = [...Set.prototype.values.call(value)]
    for (const item of found) items.push(this.#at('item', item))
    return this.#whole('set', value, items)
  }

  /** Encodes an object by its data only, without additional properties. */
  #whole(kind: string, value: object, data: unknown): unknown {
    if (Object.keys(value).length > 0 || hasSymbols(value)) {
      throw this.#refusal(`${kindOf(value)} with properties of its own`)
    }
    return this.#tagged(kind, data)
  }

  #regExp(value: RegExp): unknown {
    const { lastIndex } = value
    // Programs may write anything to it.
    if (!Number.isSafeInteger(lastIndex) || lastIndex < 0 || Object.is(lastIndex, -0)) {
      throw this.#refusal('a RegExp whose lastIndex is not a whole number')
    }
    const { source, flags } = new RegExp(value)
    return this.#whole('regexp', value, [source, flags, lastIndex])
  }

  #view(value: ArrayBufferView): unknown {
    const kind = typedArrayName(value) ?? 'DataView'
    const { buffer, byteOffset, byteLength } = kind === 'DataView' ? PLACE_OF_DATA_VIEW : PLACE_OF_TYPED_ARRAY
    const memory = buffer(value)
    if (isDetached(memory)) throw this.#refusal(`${kindOf(value)} that was transferred`)
    const bytes = base64Of(new Uint8Array(memory, byteOffset(value), byteLength(value)))
    if (Buffer.isBuffer(value)) return this.#tagged('buffer', bytes)
    if (kind !== 'DataView' && !TYPED_ARRAYS.has(kind)) throw this.#refusal(kindOf(value))
    return this.#tagged(kind, bytes)
  }

  #arrayBuffer(value: ArrayBuffer): unknown {
    const { resizable = false } = value as { resizable?: boolean }
    if (resizable) throw this.#refusal('a resizable ArrayBuffer')
    if (isDetached(value)) throw this.#refusal('an ArrayBuffer that was transferred')
    return this.#whole('ArrayBuffer', value, base64Of(new Uint8Array(value)))
  }

  #error(value: Error): unknown {
    const type = typeOfError(value)
    const hidden: Record<string, unknown> = {}
    for (const name of HIDDEN_IN_ERRORS) {
      const property = Object.getOwnPropertyDescriptor(value, name)
      const isHidden = property !== undefined && !property.enumerable
      if (isHidden || (property === undefined && isInherited(value, name, type)))
        hidden[name] = this.#at(name, value[name as keyof Error])
    }
    return this.#tagged('error', [type, hidden, this.#properties(value)])
  }

  #bigint(value: bigint): unknown {
    if (value.toString(16).length > MAX_BIGINT_DIGITS * HEX_DIGITS_PER_DIGIT) {
      throw this.#refusal(`a bigint of more than ${MAX_BIGINT_DIGITS} digits`)
    }
    return this.#tagged('bigint', String(value))
  }

  #properties(value: object): Record<string, unknown> {
    if (hasSymbols(value)) throw this.#refusal('an object with a symbol as a key')
    // A key `__proto__` stays data.
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#at(key, item)]))
  }

  #at(step: string | number, value: unknown): unknown {
    this.#path.push(step)
    const encoded = this.encode(value)
    this.#path.pop()
    return encoded
  }

  #tagged(kind: string, data?: unknown): unknown {
    this.isTagged = true
    return { [TAG]: data === undefined ? [kind] : [kind, data] }
  }

  #refusal(what: string): MemcacheOptionError {
    const path = this.#path.slice(0, MAX_PATH_STEPS).join('.')
    return new MemcacheOptionError(`the value cannot be stored: ${path === '' ? 'it' : path} is ${what}: store data`)
  }
}

/** Returns an object's own name, if it differs from the name of its class. */
function named(value: object): string {
  const kind = kindOf(value)
  const tag = tagOf(value)
  return kind.endsWith(` ${tag}`) ? kind : `${kind} (${tag})`
}

function getterOf<Value>(prototype: object, name: string | symbol): (of: object) => Value {
  const property = Object.getOwnPropertyDescriptor(prototype, name)!
  return (of) => property.get!.call(of) as Value
}

function placeGetters(prototype: object) {
  return {
    buffer: getterOf<ArrayBufferLike>(prototype, 'buffer'),
    byteOffset: getterOf<number>(prototype, 'byteOffset'),
    byteLength: getterOf<number>(prototype, 'byteLength'),
  }
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function hasSymbols(value: object): boolean {
  return Object.getOwnPropertySymbols(value).some((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol))
}

/** Returns whether a buffer is empty because its memory was transferred to another thread. */
export function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    return new Uint8Array(buffer, 0, 0).length > 0
  } catch {
    return true
  }
}

/** Returns whether a class defines a property of its errors on its prototype, and the built-in type does not. */
function isInherited(error: Error, name: string, type: keyof typeof ERROR_TYPES): boolean {
  if (name === 'stack') return false
  const builtIn = ERROR_TYPES[type].prototype as unknown as Record<string, unknown>
  return name in error && (error as unknown as Record<string, unknown>)[name] !== builtIn[name]
}

/** Returns the name of the built-in error type of an error. */
function typeOfError(error: Error): keyof typeof ERROR_TYPES {
  for (
    let at = Object.getPrototypeOf(error) as object | null;
    at !== null;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    const { constructor } = at
    if (Object.hasOwn(ERROR_TYPES, constructor.name)) return constructor.name as keyof typeof ERROR_TYPES
  }
  return 'Error'
}
