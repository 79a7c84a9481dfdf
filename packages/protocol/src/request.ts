import { MAX_META_TOKENS } from './limits.ts'
import { Uint64 } from './uint64.ts'

/** Every command of the text and meta protocols, as the number that a parsed `Request` carries. */
export const Command = {
  unknown: 0,
  get: 1,
  gets: 2,
  gat: 3,
  gats: 4,
  set: 5,
  add: 6,
  replace: 7,
  append: 8,
  prepend: 9,
  cas: 10,
  delete: 11,
  incr: 12,
  decr: 13,
  touch: 14,
  metaGet: 15,
  metaSet: 16,
  metaDelete: 17,
  metaArithmetic: 18,
  metaDebug: 19,
  metaNoop: 20,
  /** All other commands, from `version` to `lru_crawler`: they are rare, and parsed as words. */
  admin: 21,
} as const

export type Command = (typeof Command)[keyof typeof Command]

const NO_BYTES = Buffer.alloc(0)

/** The error of a request; `none` if it is valid. The messages are in `error-reply.ts`. */
export const RequestError = {
  none: 0,
  unknownCommand: 1,
  badFormat: 2,
  invalidExptime: 3,
  invalidDelta: 4,
  duplicateFlag: 5,
  invalidFlag: 6,
  invalidOrDuplicateFlag: 7,
  tooManyFlags: 8,
  opaqueTooLong: 9,
  badToken: 10,
  badKeyEncoding: 11,
  badSetMode: 12,
  badArithmeticMode: 13,
  badInitial: 14,
  badDelta: 15,
  /** The client speaks HTTP: close the connection without a reply. */
  http: 16,
} as const

/**
 * One parsed request of the text or meta protocol. Each connection reuses one record for all lines, so that no object
 * or string is allocated per request. Keys, opaques and flags are positions in `buffer`, which is valid only until the
 * response was written; a base64 key is decoded into `keyBuffer`.
 */
export class Request {
  command: Command = Command.unknown
  /** One of `RequestError`. A storage command with an error and a `valueLength` is still followed by its data block. */
  error: number = RequestError.none
  /** Whether the reply is omitted (`noreply`); meta commands use the flag `q` instead. */
  noreply = false

  buffer: Buffer = NO_BYTES
  /** The line, without its end. */
  start = 0
  end = 0
  /** Where parsing continues: after the last key of a `get`, or after the name of an admin command. */
  cursor = 0

  keyBuffer: Buffer = NO_BYTES
  keyStart = 0
  keyLength = 0
  /** The `hashKey` of the key, computed while it was scanned. */
  keyHash = 0

  clientFlags = 0
  /** The exptime as sent: seconds from now up to 30 days, or a Unix time; negative means expired, 0 never. */
  exptime = 0
  /** The length of the data block; -1 if the command has none. */
  valueLength = -1
  /** Whether a cas unique must match: `cas`, or the meta flag C. */
  hasCas = false
  readonly cas = new Uint64()
  readonly delta = new Uint64()

  // Meta commands only.
  /** The flags that were sent, small letters and capitals: see `Flag` and `CapitalFlag`. */
  flags = 0
  capitalFlags = 0
  /** The flags in their order, as positions of their letters, for the reply; `flagEnd` holds the ends of the tokens. */
  flagCount = 0
  readonly flagStart = new Int32Array(MAX_META_TOKENS)
  readonly flagEnd = new Int32Array(MAX_META_TOKENS)
  /** The letter of the flag M, or 0. */
  mode = 0
  vivifyExptime = 0
  recacheExptime = 0
  readonly newCas = new Uint64()
  readonly initial = new Uint64()
  /** The memory of decoded base64 keys, allocated at the first one. */
  decodedKey: Buffer | undefined

  /**
   * Copies the line out of the buffer, for a command whose data block arrives later, so that flags and opaque stay
   * readable.
   */
  keep(): void {
    const length = this.end - this.start
    const line = Buffer.allocUnsafe(length)
    this.buffer.copy(line, 0, this.start, this.end)
    for (let index = 0; index < this.flagCount; index++) {
      this.flagStart[index]! -= this.start
      this.flagEnd[index]! -= this.start
    }
    if (this.keyBuffer === this.buffer) {
      this.keyBuffer = line
      this.keyStart -= this.start
    }
    this.cursor -= this.start
    this.buffer = line
    this.start = 0
    this.end = length
  }

  /** Returns the words of the line as strings, for rare commands. */
  words(): string[] {
    return this.buffer
      .toString('latin1', this.start, this.end)
      .split(' ')
      .filter((word) => word !== '')
  }

  /** Returns the key as a string, for logs and stats. */
  keyText(): string {
    return this.keyBuffer.toString('latin1', this.keyStart, this.keyStart + this.keyLength)
  }
}
