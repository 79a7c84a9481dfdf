import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'

/** A server without meta commands. */
export interface OldServer {
  /** `host:port`. */
  readonly address: string
  /** The meta commands that it has refused. */
  readonly metaCommands: readonly string[]
  /** Accepts no more connections; the caller closes the server behind it. */
  close(): void
}

/**
 * Makes a server behave like one without meta commands: it reports this version, and responds `ERROR` to meta commands,
 * like 1.4.39. The value of a refused meta command would be its next command.
 *
 * @param server handles all other requests; its port is not used.
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
        // Clients probe for meta commands with `mn`.
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
