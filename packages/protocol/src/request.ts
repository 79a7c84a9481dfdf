import { Command } from './command.ts'
import { MAX_META_TOKENS } from './limits.ts'
import { Uint64 } from './uint64.ts'

const NO_BYTES = Buffer.alloc(0)

/** What is wrong with a request; `NONE` when nothing is. Their texts are in `error-reply.ts`. */
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
  /** Somebody speaks HTTP to us: close without a word. */
  http: 16,
} as const

/**
 * One parsed request of the text or meta protocol. There is one record a connection, refilled by each line: no
 * object or string is made for a request. Keys, opaques and flags are positions in `buffer`, which is only lent until
 * the request has been answered; a base64 key is decoded into `keyBuffer`.
 */
export class Request {
  command: Command = Command.unknown
  /** One of `RequestError`. A storage command with an error and a `valueLength` still has its data block behind it. */
  error: number = RequestError.none
  /** Whether the reply is to be left out (`noreply`); meta commands have the flag `q` instead. */
  noreply = false

  buffer: Buffer = NO_BYTES
  /** The line, without its end. */
  start = 0
  end = 0
  /** Where reading goes on: behind the last key of a `get`, behind the command's word of an admin command. */
  cursor = 0

  keyBuffer: Buffer = NO_BYTES
  keyStart = 0
  keyLength = 0
  /** `hashKey` of the key, found while it was scanned. */
  keyHash = 0

  clientFlags = 0
  /** As sent: seconds from now up to 30 days, else a Unix time; negative is expired, 0 is never. */
  exptime = 0
  /** Bytes of the data block; -1 where the command has none. */
  valueLength = -1
  /** Whether a cas unique has to match: `cas`, or the meta flag C. */
  hasCas = false
  readonly cas = new Uint64()
  readonly delta = new Uint64()

  // Meta commands only.
  /** Flags sent, small letters and capitals: see `Flag` and `CapitalFlag`. */
  flags = 0
  capitalFlags = 0
  /** Flags in the order they came, as positions of their letters, for the reply; the token's end beside it. */
  flagCount = 0
  readonly flagStart = new Int32Array(MAX_META_TOKENS)
  readonly flagEnd = new Int32Array(MAX_META_TOKENS)
  /** The letter of the flag M, or 0. */
  mode = 0
  vivifyExptime = 0
  recacheExptime = 0
  readonly newCas = new Uint64()
  readonly initial = new Uint64()
  /** Where a base64 key is decoded to, made at the first one. */
  decodedKey: Buffer | undefined

  /**
   * Copies the line out of the lent buffer, for a command whose data block comes later: flags and opaque stay readable.
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

  /** The words of the line as strings, for the rare commands. */
  words(): string[] {
    return this.buffer
      .toString('latin1', this.start, this.end)
      .split(' ')
      .filter((word) => word !== '')
  }

  /** The key as a string, for logs and stats. */
  keyText(): string {
    return this.keyBuffer.toString('latin1', this.keyStart, this.keyStart + this.keyLength)
  }
}
