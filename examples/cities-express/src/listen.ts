import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'

const PORTS_TRIED = 20

const GRACE_MS = 5000

/**
 * Listens on the port, or on the next free one after it when it is taken. Port 0 is any free one. Without a host, it is
 * the loopback address, which is `::1` on a machine without IPv4.
 */
export async function listen(app: RequestListener, port: number, host?: string): Promise<Server> {
  try {
    return await listenOn(host ?? '127.0.0.1', app, port)
  } catch (error) {
    if (host !== undefined || codeOf(error) !== 'EADDRNOTAVAIL') throw error
    return listenOn('::1', app, port)
  }
}

async function listenOn(host: string, app: RequestListener, port: number): Promise<Server> {
  for (let candidate = port; ; candidate++) {
    const server = createServer((request, response) => {
      // A server that is closing would otherwise wait for clients that keep their connections busy.
      if (!server.listening) response.setHeader('Connection', 'close')
      app(request, response)
    })
    try {
      server.listen(candidate, host)
      await once(server, 'listening')
      return server
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE' || candidate - port >= PORTS_TRIED) throw error
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** Accepts no more connections, responds to running requests, and closes open connections after a grace period. */
export async function close(server: Server, graceMs = GRACE_MS): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  server.close()
  await once(server, 'close')
  clearTimeout(timer)
}
