import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'

const PORTS_TRIED = 20

const GRACE_MS = 5000

/** Listens on the port, or on the next free one after it when it is taken. Port 0 is any free one. */
export async function listen(app: RequestListener, port: number, host = '127.0.0.1'): Promise<Server> {
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
      const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!taken || candidate - port >= PORTS_TRIED) throw error
    }
  }
}

/** Takes no more connections, answers the requests that are under way, and closes what is still open after a while. */
export async function close(server: Server, graceMs = GRACE_MS): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  server.close()
  await once(server, 'close')
  clearTimeout(timer)
}
