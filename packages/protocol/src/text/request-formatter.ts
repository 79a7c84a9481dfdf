/** Returns `flush_all [delay]` (protocol.txt, "Other commands"). */
export function formatFlushAll(delaySeconds: number): string {
  return delaySeconds > 0 ? `flush_all ${delaySeconds}\r\n` : 'flush_all\r\n'
}

/** Returns `version`. */
export function formatVersion(): string {
  return 'version\r\n'
}

/** Returns `verbosity <level>`. */
export function formatVerbosity(level: number): string {
  return `verbosity ${level}\r\n`
}

/** Returns `stats [form]` (protocol.txt, "Statistics"). */
export function formatStats(form: string | undefined): string {
  return form === undefined ? 'stats\r\n' : `stats ${form}\r\n`
}

const SET_AUTH = 'set auth '
/** The minimum length of a request of the binary protocol (protocol_binary.txt, "Packet Structure"). */
const BINARY_HEADER_BYTES = 24

/**
 * Returns the first command on a connection to a server with an auth file: a `set` with any key, and `<user>
 * <password>` as its data block (protocol.txt, "Authentication"). Its exptime has passed, so that a server without
 * authentication stores nothing.
 */
export function formatAuth(username: string, password: string): string {
  const credentials = `${username} ${password}`
  const rest = ` -1 ${Buffer.byteLength(credentials)}\r\n${credentials}\r\n`
  // The client flags are padded with zeros, so that a server that speaks only the binary protocol sees a complete
  // header and closes the connection.
  const flags = '0'.repeat(Math.max(1, BINARY_HEADER_BYTES - SET_AUTH.length - Buffer.byteLength(rest)))
  return SET_AUTH + flags + rest
}
