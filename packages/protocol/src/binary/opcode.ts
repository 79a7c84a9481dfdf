/**
 * The commands of the binary protocol (protocol-binary, "Command Opcodes"). The quiet ones have no response to a
 * success, or to a miss.
 */
export const Opcode = {
  get: 0x00,
  set: 0x01,
  add: 0x02,
  replace: 0x03,
  delete: 0x04,
  increment: 0x05,
  decrement: 0x06,
  quit: 0x07,
  flush: 0x08,
  getQuietly: 0x09,
  noop: 0x0a,
  version: 0x0b,
  getKey: 0x0c,
  /** A `get` that responds only to a hit, with its key. */
  getKeyQuietly: 0x0d,
  append: 0x0e,
  prepend: 0x0f,
  stat: 0x10,
  setQuietly: 0x11,
  addQuietly: 0x12,
  replaceQuietly: 0x13,
  deleteQuietly: 0x14,
  incrementQuietly: 0x15,
  decrementQuietly: 0x16,
  quitQuietly: 0x17,
  flushQuietly: 0x18,
  appendQuietly: 0x19,
  prependQuietly: 0x1a,
  verbosity: 0x1b,
  touch: 0x1c,
  getAndTouch: 0x1d,
  getAndTouchQuietly: 0x1e,
  saslMechanisms: 0x20,
  saslAuth: 0x21,
  saslStep: 0x22,
  getAndTouchKey: 0x23,
  getAndTouchKeyQuietly: 0x24,
} as const

/** The status of responses (protocol-binary, "Response Status"). */
export const Status = {
  ok: 0x00,
  notFound: 0x01,
  exists: 0x02,
  tooLarge: 0x03,
  invalid: 0x04,
  notStored: 0x05,
  nonNumeric: 0x06,
  authError: 0x20,
  authContinue: 0x21,
  unknownCommand: 0x81,
  outOfMemory: 0x82,
} as const

export type Status = (typeof Status)[keyof typeof Status]
