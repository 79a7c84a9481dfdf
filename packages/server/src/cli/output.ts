import { writeSync } from 'node:fs'

/** Writes a line to standard output. */
export function say(text: string): void {
  writeOut(1, `${text}\n`)
}

/** Writes a line to standard error, with our name before it. */
export function warn(text: string): void {
  writeOut(2, `memcache-ts-server: ${text}\n`)
}

/**
 * Writes synchronously. Node's own streams would make a pipe that this process shares with its parent non-blocking, for
 * the parent too. A closed pipe must not end the server.
 */
export function writeOut(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text)
  } catch {
    // There is nowhere to report it.
  }
}
