/** `get <key>*`, for a batch of keys that were checked (protocol.txt, "Retrieval command"). */
export function formatGet(keys: readonly string[]): string {
  return `get ${keys.join(' ')}\r\n`
}

/** `flush_all [delay]` (protocol.txt, "Other commands"). */
export function formatFlushAll(delaySeconds: number): string {
  return delaySeconds > 0 ? `flush_all ${delaySeconds}\r\n` : 'flush_all\r\n'
}

/** `version`. */
export function formatVersion(): string {
  return 'version\r\n'
}

/** `stats [form]` (protocol.txt, "Statistics"). */
export function formatStats(form: string | undefined): string {
  return form === undefined ? 'stats\r\n' : `stats ${form}\r\n`
}
