import {
  ERROR_TYPES,
  HIDDEN_IN_ERRORS,
  isWithinDepth,
  MAX_BIGINT_DIGITS,
  MAX_DEPTH,
  TAG,
  TYPED_ARRAYS,
} from './json-kinds.ts'

/** The numbers that JSON cannot express. */
const NUMBERS = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
  ['-0', -0],
])

/** @throws SyntaxError if the text is not JSON, or nested too deep. */
export function decodeJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  // Every level needs two characters.
  if (text.length > 2 * MAX_DEPTH && !isWithinDepth(value, MAX_DEPTH)) throw tooDeep()
  return value
}

/** @throws SyntaxError or another error if `encodeTaggedJson` did not write the text. */
export function decodeTaggedJson(text: string): unknown {
  return decode(JSON.parse(text), MAX_DEPTH)
}

function decode(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0 && !isTaggedPrimitive(value)) throw tooDeep()
  if (Array.isArray(value)) return value.map((item) => decode(item, depth - 1))
  const keys = Object.keys(value)
  if (keys.length !== 1 || keys[0] !== TAG) return decodeProperties(value, depth)
  const tagged = (value as Record<string, unknown>)[TAG]
  if (!Array.isArray(tagged) || typeof tagged[0] !== 'string')
    throw new SyntaxError('a tag must be a list of a kind and data')
  return decodeTagged(tagged[0], tagged[1], depth)
}

/** The kinds of tagged values that contain nothing, and therefore are no further level. */
const PRIMITIVES: ReadonlySet<unknown> = new Set(['undefined', 'bigint', 'number'])

function isTaggedPrimitive(value: object): boolean {
  const { [TAG]: tagged } = value as { [TAG]?: unknown }
  return Array.isArray(tagged) && PRIMITIVES.has(tagged[0]) && Object.keys(value).length === 1
}

function decodeProperties(value: unknown, depth: number): object {
  if (typeof value !== 'object' || value === null) throw new SyntaxError('a tagged object has no properties')
  // defineProperty semantics: a key `__proto__` stays data.
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item, depth - 1)]))
}

function decodeTagged(kind: string, data: unknown, depth: number): unknown {
  switch (kind) {
    case 'undefined':
      return undefined
    case 'bigint':
      return decodeBigint(textOf(data))
    case 'number':
      if (!NUMBERS.has(data as string)) throw new SyntaxError('a tagged number is invalid')
      return NUMBERS.get(data as string)
    case 'date':
      return decodeDate(textOf(data))
    case 'map':
      return new Map(
        listOf(data).map((pair) => {
          const [key, item] = listOf(pair)
          return [decode(key, depth - 1), decode(item, depth - 1)]
        }),
      )
    case 'set':
      return new Set(listOf(data).map((item) => decode(item, depth - 1)))
    case 'buffer':
      return Buffer.from(textOf(data), 'base64')
    case 'ArrayBuffer':
      return bytesOf(data)
    case 'DataView':
      return new DataView(bytesOf(data))
    case 'regexp':
      return decodeRegExp(listOf(data))
    case 'error':
      return decodeError(listOf(data), depth)
    case 'url':
      return new URL(textOf(data))
    case 'url-search-params':
      return new URLSearchParams(textOf(data))
    case 'object':
      return decodeProperties(data, depth)
    case 'null-prototype':
      return Object.setPrototypeOf(decodeProperties(data, depth), null)
    default: {
      const TypedArray = TYPED_ARRAYS.get(kind)
      if (TypedArray === undefined) throw new SyntaxError(`no value is tagged ${JSON.stringify(kind.slice(0, 40))}`)
      return new TypedArray(bytesOf(data))
    }
  }
}

function decodeBigint(digits: string): bigint {
  if (digits.length > MAX_BIGINT_DIGITS + 1 || !/^-?\d+$/.test(digits))
    throw new SyntaxError('a tagged bigint is invalid')
  return BigInt(digits)
}

function decodeDate(text: string): Date {
  const date = new Date(text === 'invalid' ? NaN : text)
  if (text !== 'invalid' && Number.isNaN(date.getTime())) throw new SyntaxError('a tagged date is invalid')
  return date
}

function decodeRegExp([source, flags, lastIndex]: readonly unknown[]): RegExp {
  const made = new RegExp(textOf(source), textOf(flags))
  if (typeof lastIndex !== 'number') throw new SyntaxError('a tagged regexp has no lastIndex')
  made.lastIndex = lastIndex
  return made
}

function decodeError([type, hidden, properties]: readonly unknown[], depth: number): Error {
  if (!Object.hasOwn(ERROR_TYPES, textOf(type))) throw new SyntaxError('a tagged error has an unknown type')
  const { prototype } = ERROR_TYPES[type as keyof typeof ERROR_TYPES]
  // A real error, without the stack of this function.
  const made = Object.setPrototypeOf(new Error(), prototype) as Error & Record<string, unknown>
  delete made.stack
  const found = decodeProperties(hidden, depth) as Record<string, unknown>
  for (const name of HIDDEN_IN_ERRORS) {
    if (!Object.hasOwn(found, name)) continue
    Object.defineProperty(made, name, { value: found[name], writable: true, configurable: true, enumerable: false })
  }
  for (const [name, value] of Object.entries(decodeProperties(properties, depth))) {
    Object.defineProperty(made, name, { value, writable: true, configurable: true, enumerable: true })
  }
  return made
}

/** Returns the bytes of base64 in a new ArrayBuffer. */
function bytesOf(data: unknown): ArrayBuffer {
  return new Uint8Array(Buffer.from(textOf(data), 'base64')).buffer
}

function textOf(data: unknown): string {
  if (typeof data !== 'string') throw new SyntaxError('a tagged value has no text where it needs one')
  return data
}

function listOf(data: unknown): readonly unknown[] {
  if (!Array.isArray(data)) throw new SyntaxError('a tagged value has no list where it needs one')
  return data
}

function tooDeep(): SyntaxError {
  return new SyntaxError(`nested more than ${MAX_DEPTH} deep`)
}
