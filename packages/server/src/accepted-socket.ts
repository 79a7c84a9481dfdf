import { Socket } from 'node:net'
import type { Server } from 'node:net'

/** The undocumented parts of a socket that are used here. */
interface SocketInternals {
  _handle: { useUserBuffer?: unknown } | null
  _server: Server | null
}

/**
 * Reads an accepted socket into one buffer that all connections share, instead of the 64 kB that Node allocates for
 * each read; returns `undefined` where this Node's sockets are made otherwise, and the socket is as it was.
 *
 * `onread` is documented for sockets that connect. For accepted ones its only way is to hand their handle to a new
 * socket, and the handle is private: that is why it is done here alone, looked at first, and done without when it is
 * not as expected. The socket must not have begun to read (`pauseOnConnect`).
 */
export function readIntoSharedBuffer(
  socket: Socket,
  buffer: Buffer,
  receive: (length: number) => boolean,
): Socket | undefined {
  const internals = socket as unknown as SocketInternals
  const handle = internals._handle
  if (typeof handle?.useUserBuffer !== 'function' || internals._server === undefined) return undefined
  const options = { handle, onread: { buffer, callback: (length: number) => receive(length) } }
  const reading = new Socket(options as ConstructorParameters<typeof Socket>[0])
  // The server counts its open connections by this property, to know when it has closed.
  ;(reading as unknown as SocketInternals)._server = internals._server
  internals._server = null
  internals._handle = null
  return reading
}
