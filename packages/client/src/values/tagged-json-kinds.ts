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
