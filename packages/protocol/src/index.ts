export { systemClock } from './clock.ts'
export { FakeClock } from './fake-clock.ts'
export { LongTimer, MAX_TIMER_MS } from './long-timer.ts'
export type { Clock } from './clock.ts'
export {
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
export { blockMemory } from './block-memory.ts'
export { FrameReader, NONE, STOP } from './framing.ts'
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
export { exptimeOf, secondsToTtl, ttlToSeconds } from './ttl.ts'
export type { Ttl } from './ttl.ts'
export { Command } from './command.ts'
export { errorReply } from './error-reply.ts'
export { hashKey } from './key-hash.ts'
export { CapitalFlag, Flag } from './meta/flag.ts'
export { MetaCode, writeMetaCode, writeMetaEcho, writeMetaForever, writeMetaKey } from './meta/response-formatter.ts'
export { Request, RequestError } from './request.ts'
export { parseRequest } from './request-parser.ts'
export { Reply } from './text/reply.ts'
export { hasKeyLeft, hasLongKeyLeft, nextKey } from './text/request-parser.ts'
export { MAX_REPLY_LINE_BYTES, writeValueLine } from './text/response-formatter.ts'
export { Uint64, writeUint } from './uint64.ts'
export { checkOptions, refuseSecondOptions } from './check-options.ts'
export {
  booleanOption,
  checkOptionTypes,
  choiceOption,
  positiveOption,
  rangeOption,
  textOption,
} from './option-values.ts'
export type { OptionRange } from './option-values.ts'
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
export { kindOf } from './kind-of.ts'
export {
  MAX_REQUEST_LINE_BYTES,
  writeLineEnd,
  writeMetaCommand,
  writeNumber,
  writeRequestKey,
  writeWord,
} from './framing.ts'
export { writeFlag, writeIntFlag, writeUint64Flag, writeUintFlag } from './meta/flag-writer.ts'
export { MetaReply, parseMetaReply } from './meta/response-parser.ts'
export { formatAuth, formatFlushAll, formatStats, formatVerbosity, formatVersion } from './text/request-formatter.ts'
export { isEnd, parseErrorLine, parseOutcome, parseValueLine, ValueLine } from './text/response-parser.ts'
export type { ErrorLineKind, TextOutcome } from './text/response-parser.ts'
export { Opcode, Status } from './binary/opcode.ts'
export { BinaryPacket, PacketReader } from './binary/packet-reader.ts'
export { BINARY_REQUEST_MAGIC, BinaryRequestReader, VALUE } from './binary/request-reader.ts'
export type { BinaryRequest, BinaryRequestHandler } from './binary/request-reader.ts'
export { writeBinaryResponseHeader } from './binary/response-formatter.ts'
export { BINARY_HEADER_BYTES, writeBinaryHeader } from './binary/request-formatter.ts'
export { hasEarlyMeta, isBeforeLeases } from './server-version.ts'
