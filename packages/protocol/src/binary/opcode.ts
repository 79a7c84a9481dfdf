/** The commands of the binary protocol that the client uses (protocol-binary, "Command Opcodes"). */
export const Opcode = {
  get: 0x00,
  set: 0x01,
  add: 0x02,
  replace: 0x03,
  delete: 0x04,
  increment: 0x05,
  decrement: 0x06,
  flush: 0x08,
  noop: 0x0a,
  version: 0x0b,
  /** A `get` that answers only a hit, with its key. */
  getKeyQuietly: 0x0d,
  append: 0x0e,
  prepend: 0x0f,
  stat: 0x10,
  verbosity: 0x1b,
  touch: 0x1c,
  getAndTouch: 0x1d,
  saslAuth: 0x21,
} as const

/** The answers' status (protocol-binary, "Response Status"). */
export const Status = {
  ok: 0x00,
  notFound: 0x01,
  exists: 0x02,
  tooLarge: 0x03,
  notStored: 0x05,
  authError: 0x20,
  unknownCommand: 0x81,
} as const
