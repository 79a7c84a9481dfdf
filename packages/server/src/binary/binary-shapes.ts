import { Opcode } from 'memcache-ts-protocol'
import type { BinaryRequest } from 'memcache-ts-protocol'

/** The quiet commands, and the commands that they are variants of. */
const LOUD_COMMANDS: Readonly<Record<number, number>> = {
  [Opcode.getQuietly]: Opcode.get,
  [Opcode.getKeyQuietly]: Opcode.getKey,
  [Opcode.setQuietly]: Opcode.set,
  [Opcode.addQuietly]: Opcode.add,
  [Opcode.replaceQuietly]: Opcode.replace,
  [Opcode.deleteQuietly]: Opcode.delete,
  [Opcode.incrementQuietly]: Opcode.increment,
  [Opcode.decrementQuietly]: Opcode.decrement,
  [Opcode.quitQuietly]: Opcode.quit,
  [Opcode.flushQuietly]: Opcode.flush,
  [Opcode.appendQuietly]: Opcode.append,
  [Opcode.prependQuietly]: Opcode.prepend,
  [Opcode.getAndTouchQuietly]: Opcode.getAndTouch,
  [Opcode.getAndTouchKeyQuietly]: Opcode.getAndTouchKey,
}

/** Returns the command that a quiet command is a variant of; any other command unchanged. */
export function loudCommand(opcode: number): number {
  return LOUD_COMMANDS[opcode] ?? opcode
}

/** Returns whether a command has no response on success (or, if it fetches, on a miss). */
export function isQuiet(opcode: number): boolean {
  return LOUD_COMMANDS[opcode] !== undefined
}

/**
 * Returns whether a request has the extras, the key and the value that its command requires; `undefined` for an unknown
 * command.
 */
export function hasShape(opcode: number, { extrasLength, keyLength, valueLength }: BinaryRequest): boolean | undefined {
  switch (opcode) {
    case Opcode.get:
    case Opcode.getKey:
    case Opcode.delete:
      return extrasLength === 0 && keyLength > 0 && valueLength === 0
    case Opcode.set:
    case Opcode.add:
    case Opcode.replace:
      return extrasLength === 8 && keyLength > 0
    case Opcode.append:
    case Opcode.prepend:
      return extrasLength === 0 && keyLength > 0
    case Opcode.increment:
    case Opcode.decrement:
      return extrasLength === 20 && keyLength > 0 && valueLength === 0
    case Opcode.touch:
    case Opcode.getAndTouch:
    case Opcode.getAndTouchKey:
      return extrasLength === 4 && keyLength > 0
    case Opcode.flush:
      return (extrasLength === 0 || extrasLength === 4) && keyLength === 0 && valueLength === 0
    case Opcode.stat:
      return extrasLength === 0
    case Opcode.saslAuth:
    case Opcode.saslStep:
      return extrasLength === 0 && keyLength > 0
    case Opcode.noop:
    case Opcode.version:
    case Opcode.quit:
    case Opcode.saslMechanisms:
      return extrasLength === 0 && keyLength === 0 && valueLength === 0
    default:
      return undefined
  }
}
