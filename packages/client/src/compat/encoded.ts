import type { EncodedValue } from '../values/value-codec.ts'

/**
 * A value that was encoded before it is handed to the client, whose codec takes it as it is: its size was to be checked
 * first.
 */
export class Encoded implements EncodedValue {
  readonly bytes: Buffer | string
  readonly clientFlags: number

  constructor(bytes: Buffer | string, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }
}
