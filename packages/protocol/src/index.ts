export { FakeClock, LongTimer, MAX_TIMER_MS, refTimer, systemClock, unrefTimer } from './clock.ts'
export type { Clock } from './clock.ts'
export {
  isMemcacheError,
  MemcacheAuthError,
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheDecodeError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheLimitError,
  MemcacheLoaderTimeoutError,
  MemcacheOptionError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheServerError,
  MemcacheTimeoutError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
} from './errors.ts'
export type { MemcacheErrorCode, MemcacheErrorDetails } from './errors.ts'
export {
  blockMemory,
  FrameReader,
  MAX_REQUEST_LINE_BYTES,
  NONE,
  STOP,
  writeLineEnd,
  writeMetaCommand,
  writeNumber,
  writeRequestKey,
  writeWord,
} from './framing.ts'
export type { FrameHandler } from './framing.ts'
export {
  DEFAULT_ITEM_MAX_BYTES,
  DEFAULT_PORT,
  MAX_KEY_BYTES,
  MAX_LINE_BYTES,
  MAX_META_TOKENS,
  MAX_OPAQUE_BYTES,
  MAX_VALUE_BYTES,
  MAX_RELATIVE_EXPTIME_SECONDS,
} from './limits.ts'
export { exptimeOf, secondsToTtl, ttlToSeconds, warnOfSeconds } from './ttl.ts'
export type { Ttl } from './ttl.ts'
export { Command, Request, RequestError } from './request.ts'
export {
  errorReply,
  isEnd,
  MAX_REPLY_LINE_BYTES,
  parseErrorLine,
  parseOutcome,
  parseValueLine,
  Reply,
  ValueLine,
  writeValueLine,
} from './text/response.ts'
export { hashKey } from './key-hash.ts'
export { CapitalFlag, Flag, writeFlag, writeIntFlag, writeUint64Flag, writeUintFlag } from './meta/flag.ts'
export {
  MetaCode,
  MetaReply,
  parseMetaReply,
  writeMetaCode,
  writeMetaEcho,
  writeMetaForever,
  writeMetaKey,
} from './meta/response.ts'
export { parseRequest } from './request-parser.ts'
export { hasKeyLeft, hasLongKeyLeft, nextKey } from './text/request-parser.ts'
export { Uint64, writeUint } from './uint64.ts'
export {
  booleanOption,
  checkOptions,
  checkOptionTypes,
  choiceOption,
  kindOf,
  positiveOption,
  positiveWholeOption,
  rangeOption,
  refuseSecondOptions,
  textOption,
  isOptionsRecord,
} from './option-checks.ts'
export type { OptionRange } from './option-checks.ts'
export { ClientFlags } from './client-flags.ts'
export {
  checkKey,
  checkKeyPrefix,
  escapeKeyPart,
  hasKeyTag,
  isKeyPart,
  joinKey,
  keyProblem,
  KeyTag,
  keyTextProblem,
} from './key.ts'
export type { Key, KeyPart } from './key.ts'
export { formatAuth, formatFlushAll, formatStats, formatVerbosity, formatVersion } from './text/request-formatter.ts'
export type { ErrorLineKind, TextOutcome } from './text/response.ts'
export { Opcode, Status } from './binary/opcode.ts'
export { BinaryPacket, PacketReader, writeBinaryResponseHeader } from './binary/response.ts'
export {
  BINARY_HEADER_BYTES,
  BINARY_REQUEST_MAGIC,
  BinaryRequestReader,
  VALUE,
  writeBinaryHeader,
} from './binary/request.ts'
export type { BinaryRequest, BinaryRequestHandler } from './binary/request.ts'
