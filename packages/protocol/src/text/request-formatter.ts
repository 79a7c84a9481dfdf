/** `flush_all [delay]` (protocol.txt, "Other commands"). */
export function formatFlushAll(delaySeconds: number): string {
  return delaySeconds > 0 ? `flush_all ${delaySeconds}\r\n` : 'flush_all\r\n'
}

/** `version`. */
export function formatVersion(): string {
  return 'version\r\n'
}

/** `verbosity <level>`. */
export function formatVerbosity(level: number): string {
  return `verbosity ${level}\r\n`
}

/** `stats [form]` (protocol.txt, "Statistics"). */
export function formatStats(form: string | undefined): string {
  return form === undefined ? 'stats\r\n' : `stats ${form}\r\n`
}

/**
 * The first command of a connection where the server has an auth file: a `set` with any key, and `<user> <password>` as its
 * data block (protocol.txt, "Authentication"). With an exptime that has passed: a server without authentication keeps nothing.
 */
export function formatAuth(username: string, password: string): string {
  const credentials = `${username} ${password}`
  return `set auth 0 -1 ${Buffer.byteLength(credentials)}\r\n${credentials}\r\n`
}
