import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { parseServers } from 'memcache-ts-client'

const CONNECT_MS = 1000

/**
 * Returns how often each key is fetched per second, from `watch fetchers` (protocol.txt, "Watchers") on its own
 * connection; `undefined` if the server cannot be watched in plain text: with TLS, authentication, or `-W`.
 */
export async function watchFetches(
  list: string,
  name: string,
  seconds: number,
): Promise<Map<string, number> | undefined> {
  const { servers, options } = parseServers(list)
  const address = servers.find((server) => server.name === name)
  if (address === undefined || options.tls === true || options.username !== undefined) return undefined
  const { path, host = 'localhost', port } = address
  const socket = path === undefined ? connect({ host, port: port! }) : connect({ path })
  socket.setTimeout(CONNECT_MS + seconds * 1000)
  socket.on('timeout', () => socket.destroy())
  const counts = new Map<string, number>()
  try {
    await ready(socket)
    const lines = createInterface({ input: socket as Readable })
    let refused = false
    lines.on('line', (line) => {
      if (/^(?:ERROR|CLIENT_ERROR|SERVER_ERROR)/.test(line)) refused = true
      const [, key] = / type=item_get key=(\S+) /.exec(line) ?? []
      if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1)
    })
    socket.write('watch fetchers\r\n')
    await delay(seconds * 1000)
    lines.close()
    return refused ? undefined : new Map([...counts].map(([key, count]) => [key, count / seconds]))
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

function ready(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
  })
}
