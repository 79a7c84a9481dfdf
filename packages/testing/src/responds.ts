import { connect } from 'node:net'

/** How long to wait for the response before another connection is tried. */
const SILENCE_MS = 500

/**
 * Returns whether a server on loopback responds to `version` with a reply as expected, or, without an expected reply,
 * whether it accepts connections. Returns false if the connection fails or ends, and after half a second of silence: a
 * server that is starting may lose a request that arrives before its event loop runs, as yrmcds does, so call again.
 */
export function responds(port: number, expected: RegExp | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (how: 'responds' | 'fails') => {
      resolve(how === 'responds')
      socket.destroy()
    }
    let reply = ''
    socket.setTimeout(SILENCE_MS, () => settle('fails'))
    socket.on('error', () => settle('fails'))
    socket.on('close', () => settle('fails'))
    socket.on('connect', () => {
      if (expected === undefined) settle('responds')
      else socket.write('version\r\n')
    })
    socket.on('data', (chunk: Buffer) => {
      reply += chunk.toString('latin1')
      if (reply.includes('\r\n')) settle(expected!.test(reply) ? 'responds' : 'fails')
    })
  })
}
