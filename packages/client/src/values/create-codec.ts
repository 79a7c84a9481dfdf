import { ClientFlags, isMemcacheError, kindOf, MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import { presetCodec } from '../compat/presets/preset-codec.ts'
import type { PresetName } from '../compat/presets/preset-codec.ts'
import { DEFAULT_MAX_DECOMPRESSED_BYTES } from './compression.ts'
import type { CompressionOptions } from './compression.ts'
import { typedCodec } from './typed-codec.ts'
import { isReader } from './value-codec.ts'
import type { EncodedValue, ValueCodec, ValueReader } from './value-codec.ts'
import { messageOf } from '../errors.ts'
import { isDetached } from './tagged-json-encoder.ts'

/**
 * Returns the codec that the options select.
 *
 * @throws MemcacheOptionError if the name is unknown, or the format does not have the compression.
 */
export function createCodec(
  values: 'typed' | PresetName | ValueCodec,
  compression: CompressionOptions | undefined,
  maxDecompressedBytes = DEFAULT_MAX_DECOMPRESSED_BYTES,
): ValueCodec {
  if (values === 'typed') return typedCodec({ compression, maxDecompressedBytes })
  if (typeof values === 'string') return guardedCodec(presetCodec(values, compression, maxDecompressedBytes))
  if (compression !== undefined) {
    throw new MemcacheOptionError('compression does not apply to your own codec: compress in the codec itself')
  }
  if (typeof values?.encode !== 'function' || typeof values.decode !== 'function') {
    throw new MemcacheOptionError(`values: a codec must have the methods encode and decode, got ${kindOf(values)}`)
  }
  return guardedCodec(values)
}

const MAX_CLIENT_FLAGS = 2 ** 32 - 1
/** The getter of `byteLength`, which a property of an instance cannot hide. */
const BYTE_LENGTH = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'byteLength')!

/**
 * Wraps a codec: a custom one may throw or return anything, and any may be given a value that throws when it is read.
 * The returned codec throws only the errors that `ValueCodec` documents, and returns only valid results.
 */
export function guardedCodec(codec: ValueCodec): ValueCodec {
  const encode = (value: unknown): EncodedValue => {
    try {
      return checkEncoded(codec.encode(value))
    } catch (cause) {
      if (isMemcacheError(cause)) throw cause
      throw new MemcacheOptionError(`the codec cannot encode the value: ${messageOf(cause)}`, { cause })
    }
  }
  const decode = (bytes: Buffer, clientFlags: number): unknown => checkDecoded(codec.decode(bytes, clientFlags))
  const { readsLeases } = codec
  const own = {
    ...(codec.canJoin === undefined ? {} : { canJoin: (clientFlags: number) => canJoin(codec, clientFlags) }),
    ...(readsLeases === undefined ? {} : { readsLeases }),
  }
  if (!isReader(codec)) return { encode, ...own, decode }
  const reading: ValueCodec & ValueReader = {
    encode,
    ...own,
    decode,
    read: (buffer, start, end, clientFlags, owned) => checkDecoded(codec.read(buffer, start, end, clientFlags, owned)),
    ...(codec.copies === undefined ? {} : { copies: (clientFlags: number) => copies(codec, clientFlags) }),
  }
  return reading
}

/**
 * Returns a checked copy of the result of `encode`.
 *
 * @throws MemcacheOptionError if it cannot be stored.
 */
function checkEncoded(encoded: EncodedValue): EncodedValue {
  refusePromise('encode', encoded, (message) => new MemcacheOptionError(message))
  const { bytes, clientFlags } = Object(encoded) as Partial<EncodedValue>
  if (typeof bytes === 'string') {
    if (!bytes.isWellFormed()) {
      throw new MemcacheOptionError("a codec's encode returned text that is not well-formed Unicode: return a Buffer")
    }
  } else if (!Buffer.isBuffer(bytes)) {
    throw new MemcacheOptionError(
      `a codec's encode must return { bytes, clientFlags }: bytes is ${kindOf(bytes)}, not a Buffer or text`,
    )
  } else if (bytes.length !== BYTE_LENGTH.get!.call(bytes) || (bytes.length === 0 && isDetached(bytes.buffer))) {
    throw new MemcacheOptionError(
      "a codec's encode returned a Buffer whose memory is gone, perhaps transferred: return another one",
    )
  }
  if (!Number.isInteger(clientFlags) || clientFlags! < 0 || clientFlags! > MAX_CLIENT_FLAGS) {
    throw new MemcacheOptionError(
      `a codec's clientFlags must be a whole number below 2^32, got ${typeof clientFlags === 'number' ? clientFlags : kindOf(clientFlags)}`,
    )
  }
  if (clientFlags === ClientFlags.chunks) {
    throw new MemcacheOptionError(
      `a codec's clientFlags must not be ${clientFlags}, which this client gives values in chunks`,
    )
  }
  return { bytes, clientFlags: clientFlags! }
}

/** @throws MemcacheDecodeError if the value is a promise: the call would wait for it without its time limit. */
function checkDecoded(value: unknown): unknown {
  if (typeof value === 'object' || typeof value === 'function') {
    refusePromise('decode', value, (message) => new MemcacheDecodeError(message))
  }
  return value
}

function refusePromise(method: string, returned: unknown, errorOf: (message: string) => Error): void {
  const { then } = Object(returned ?? {}) as Partial<PromiseLike<unknown>>
  if (typeof then !== 'function') return
  // No other code handles its rejection.
  if (returned instanceof Promise) returned.catch(() => {})
  throw errorOf(`a codec's ${method} must return its result, not a promise of it: codecs are synchronous`)
}

/** @throws MemcacheOptionError if the codec throws, or does not return a boolean. */
function canJoin(codec: ValueCodec, clientFlags: number): boolean {
  let returned: unknown
  try {
    returned = codec.canJoin!(clientFlags)
  } catch (cause) {
    throw new MemcacheOptionError(`the codec's canJoin has failed: ${messageOf(cause)}`, { cause })
  }
  if (typeof returned === 'boolean') return returned
  if (returned instanceof Promise) returned.catch(() => {})
  throw new MemcacheOptionError(`a codec's canJoin must return true or false, got ${kindOf(returned)}`)
}

function copies(codec: ValueReader, clientFlags: number): boolean {
  try {
    return codec.copies!(clientFlags)
  } catch {
    // It may keep the bytes, and throws again when they are read.
    return false
  }
}
