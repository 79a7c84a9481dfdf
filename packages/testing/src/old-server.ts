import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'

/** A server without meta commands, as `listenAsOldServer` made it. */
export interface OldServer {
  /** `host:port`. */
  readonly address: string
  /** What was asked of it in meta commands, and refused. */
  readonly metaCommands: readonly string[]
  /** Takes no more connections; the server behind it is the caller's. */
  close(): void
}

/**
 * Lets a server be one that is older than the meta commands: it tells its version, and answers `ERROR` to what begins with
 * one, as 1.4.39 does. Where a meta command comes with a value, that value would be its next command.
 * @param server what else is asked goes to; its port is not used.
 */
export async function listenAsOldServer(
  server: { handle(stream: Duplex): void },
  version = '1.4.39',
): Promise<OldServer> {
  const metaCommands: string[] = []
  const listener = createServer((socket) => {
    const [ours, theirs] = duplexPair()
    server.handle(theirs)
    socket.on('error', () => {})
    socket.on('close', () => ours.end())
    ours.on('data', (chunk: Buffer) => socket.write(chunk))
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      if (text === 'version\r\n') {
        socket.write(`VERSION ${version}\r\n`)
      } else if (text === 'mn\r\n') {
        // So a client finds out whether there are meta commands.
        socket.write('ERROR\r\n')
      } else if (/^m[gsdane] /.test(text)) {
        metaCommands.push(text)
        socket.write('ERROR\r\n')
      } else {
        ours.write(chunk)
      }
    })
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  return { address: `127.0.0.1:${port}`, metaCommands, close: () => void listener.close() }
}
