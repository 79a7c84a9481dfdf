import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'

const PORTS_TRIED = 20

/** Listens on the port, or on the next free one after it when it is taken. Port 0 is any free one. */
export async function listen(app: RequestListener, port: number): Promise<Server> {
  for (let candidate = port; ; candidate++) {
    const server = createServer(app)
    try {
      server.listen(candidate)
      await once(server, 'listening')
      return server
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!taken || candidate - port >= PORTS_TRIED) throw error
    }
  }
}
