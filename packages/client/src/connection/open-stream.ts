import { connect as connectTcp, Socket } from 'node:net'
import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { kindOf } from 'memcache-ts-protocol'
import type { ServerAddress } from '../server-address.ts'

const RECEIVE_BUFFER_BYTES = 256 * 1024

/**
 * All plain connections read into this one buffer: what is read is handled before anything else is, and what is kept is
 * copied.
 */
const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)

/** A stream that was opened, and what its writer may rely on. */
export interface OpenedStream {
  readonly stream: Duplex
  /** Whether a write that leaves nothing queued in the stream has been copied by the kernel. */
  readonly copiesOnWrite: boolean
}

/**
 * Opens a stream to a server: over TCP, TLS, a unix socket, or of the caller's making. Names are resolved anew each time.
 * @param opened is called when bytes may be sent, not before this has returned.
 * @param received is handed bytes that are only lent for the call.
 */
export function openStream(
  address: ServerAddress,
  tls: TlsOptions | undefined,
  opened: () => void,
  received: (buffer: Buffer, length: number) => void,
): OpenedStream {
  if (address.stream !== undefined) {
    const stream = address.stream.connect()
    stream.on('data', (chunk: unknown) => {
      const bytes = bytesOf(chunk)
      received(bytes, bytes.length)
    })
    process.nextTick(opened)
    return { stream, copiesOnWrite: false }
  }
  if (tls !== undefined) {
    const stream = connectTls({ ...tls, ...endpoint(address), ...serverName(address, tls) })
    stream.on('data', (chunk: Buffer) => received(chunk, chunk.length))
    stream.once('secureConnect', opened)
    return { stream, copiesOnWrite: false }
  }
  const onread: OnReadOpts = {
    buffer: receiveBuffer,
    callback: (length) => {
      received(receiveBuffer, length)
      return true
    },
  }
  const stream: Socket = connectTcp({ ...endpoint(address), onread })
  stream.once('connect', opened)
  return { stream, copiesOnWrite: true }
}

/** What a stream of the caller's making hands over: not all such streams keep to bytes. */
function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  return Buffer.from(typeof chunk === 'string' ? chunk : `a stream's ${kindOf(chunk)}`)
}

function endpoint({ host, ip, port, path }: ServerAddress) {
  if (path !== undefined) return { path }
  return { host: ip ?? host!, port: port!, noDelay: true, keepAlive: true }
}

/** The name that the certificate is checked against; an address has none to be asked for. */
function serverName({ host }: ServerAddress, tls: TlsOptions): { servername?: string; host?: string } {
  return tls.servername !== undefined || host === undefined || /^[\d.]+$|:/.test(host) ? {} : { servername: host }
}

/** Ends a stream; what it still says is of no interest. */
export function endStream(stream: Duplex): void {
  try {
    if (stream instanceof Socket) stream.destroy()
    // A stream in memory tells its other end that it ended, but not that it was destroyed.
    else stream.end(() => stream.destroy())
  } catch {
    // A stream of the caller's making, which is of no more use.
  }
}

/** Whether a stream keeps the process alive. One of the caller's making decides that itself. */
export function keepAlive(stream: Duplex | undefined, isNeeded: boolean): void {
  if (!(stream instanceof Socket)) return
  if (isNeeded) stream.ref()
  else stream.unref()
}
