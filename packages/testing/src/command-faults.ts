import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'

/**
 * The fault that a command meets: the connection hangs or is closed, before the server gets the command or after the
 * server has carried it out. The client cannot distinguish these cases.
 */
export type CommandFault = 'hang before' | 'hang after' | 'close before' | 'close after'

/** A server for clients in the same process whose connections fail at chosen commands. */
export class CommandFaults {
  readonly name: string
  readonly #server: { handle(stream: Duplex): void }
  /**
   * Returns the fault of a command, `undefined` for none; called with its first word and its key, in order, in every
   * protocol. Handshakes (`version`, `mn`, `noop`) are commands too.
   */
  faultOf: (command: string, key: string) => CommandFault | undefined = () => undefined

  constructor(server: { handle(stream: Duplex): void }, name = 'faults') {
    this.#server = server
    this.name = name
  }

  /** Opens a connection, as a server among the client's `servers`. */
  connect(): Duplex {
    const [client, near] = duplexPair()
    const [far, theirs] = duplexPair()
    this.#server.handle(theirs)
    for (const stream of [client, near, far, theirs]) stream.on('error', () => {})
    let isFailed = false
    let unread = Buffer.alloc(0)
    const close = (): void => {
      far.destroy()
      near.destroy()
      client.destroy()
    }
    near.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk])
      for (let length = lengthOf(unread); length !== undefined && !isFailed; length = lengthOf(unread)) {
        const command = unread.subarray(0, length)
        unread = unread.subarray(length)
        const fault = this.faultOf(...nameOf(command))
        if (fault !== 'hang before' && fault !== 'close before') far.write(Buffer.from(command))
        if (fault === undefined) continue
        isFailed = true
        if (fault === 'close before') close()
        // The server carries out the commands that it has received before it sees the end.
        else if (fault === 'close after') far.end()
      }
    })
    far.on('data', (chunk: Buffer) => {
      if (!isFailed) near.write(Buffer.from(chunk))
    })
    near.on('close', () => far.end())
    near.on('end', () => far.end())
    far.on('end', close)
    return client
  }
}

const BINARY_REQUEST = 0x80
const BINARY_HEADER = 24

/** Returns the length of the first command, with its value; `undefined` while it is incomplete. */
function lengthOf(bytes: Buffer): number | undefined {
  if (bytes.length === 0) return undefined
  let length
  if (bytes[0] === BINARY_REQUEST) {
    if (bytes.length < BINARY_HEADER) return undefined
    length = BINARY_HEADER + bytes.readUInt32BE(8)
  } else {
    const end = bytes.indexOf('\r\n')
    if (end < 0) return undefined
    const words = bytes.subarray(0, end).toString('latin1').split(' ')
    const valueAt = words[0] === 'ms' ? 2 : /^(set|add|replace|append|prepend|cas)$/.test(words[0]!) ? 4 : undefined
    length = end + 2 + (valueAt === undefined ? 0 : Number(words[valueAt]) + 2)
  }
  return bytes.length < length ? undefined : length
}

function nameOf(command: Buffer): [name: string, key: string] {
  if (command[0] === BINARY_REQUEST) {
    const keyAt = BINARY_HEADER + command[4]!
    return [`opcode ${command[1]}`, command.subarray(keyAt, keyAt + command.readUInt16BE(2)).toString('latin1')]
  }
  const [name = '', key = ''] = command.subarray(0, command.indexOf('\r\n')).toString('latin1').split(' ', 2)
  return [name, key]
}
